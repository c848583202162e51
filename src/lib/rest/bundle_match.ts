/** Whether a bundle passes a search: the same as `list_bundles.sql`, for changes that come one by one. */

import { isObject, parseJson } from "../json.ts";
import type { BundleFilter } from "./bundle_search.ts";

/** What never changes of a resource, as far as a search can ask for it. */
export interface FixedColumns {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
}

/** True if the columns pass. */
export function matchesColumns(filter: BundleFilter, row: FixedColumns): boolean {
  const passes = (wanted: string[] | undefined, value: string) => wanted?.includes(value) ?? true;
  return passes(filter.id, row.id) && passes(filter.name, row.name) &&
    passes(filter.source, row.source) && passes(filter.consumer_name, row.consumer_name);
}

/** True if the labels pass; they are JSON text. */
export function matchesLabels(filter: BundleFilter, labels: string | null): boolean {
  if (!asksForLabels(filter)) return true;
  const parsed = labels === null ? {} : parseJson(labels);
  return contains(parsed, filter.labels) && filter.labelTerms.every((term) => {
    const value = isObject(parsed) ? parsed[term.key] : undefined;
    // SQL's null is neither in a list nor outside of it.
    if (value === undefined || value === null) return false;
    return term.values.includes(typeof value === "string" ? value : JSON.stringify(value)) ===
      term.is_in;
  });
}

/** True if the labels matter to the search. */
function asksForLabels({ labels, labelTerms }: BundleFilter): boolean {
  return Object.keys(labels).length > 0 || labelTerms.length > 0;
}

/** What `@>` means for jsonb. */
function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) && part.every((one) => whole.some((other) => contains(other, one)));
  }
  if (isObject(part)) {
    return isObject(whole) &&
      Object.entries(part).every(([key, value]) =>
        Object.hasOwn(whole, key) && contains(whole[key], value)
      );
  }
  return JSON.stringify(whole) === JSON.stringify(part);
}

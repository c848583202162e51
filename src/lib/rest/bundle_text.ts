/** A bundle of a list as JSON text, without reading its manifests, which are nearly all of it. */

import { canonicalJson } from "../json.ts";
import { memberTexts } from "../json_members.ts";
import type { ResourceRow } from "../spec/door.ts";
import { MANIFEST_BUNDLES } from "../wire/event.ts";
import { presentBundle } from "./present_bundle.ts";

const KEY = "manifests";

/**
 * The bundle as `presentBundle` shows it. Its manifests are written as they are stored, so that their keys have the
 * order in which the source sent them. In parts, since putting them together would copy them once more.
 */
export function writeBundle(row: ResourceRow): string[] {
  const parts = row.data_type === MANIFEST_BUNDLES ? split(row.spec) : undefined;
  if (parts === undefined) return [canonicalJson(presentBundle(row))];
  const item = presentBundle({ ...row, spec: parts.others });
  let before = "{";
  let after = "";
  for (const key of Object.keys(item).sort()) {
    if (key === KEY) continue;
    const member = `"${key}":${canonicalJson(item[key])}`;
    if (key < KEY) before += `${member},`;
    else after += `,${member}`;
  }
  return [before, `"${KEY}":`, parts.manifests, after, "}"];
}

/** Undefined: the manifests are not where they should be. */
function split(spec: string): { manifests: string; others: string } | undefined {
  const texts = memberTexts(spec);
  const manifests = texts?.get(KEY);
  if (texts === undefined || manifests === undefined || !manifests.startsWith("[")) {
    return undefined;
  }
  texts.delete(KEY);
  const others = [...texts];
  // Peers' keys count in any case, and the last one wins.
  if (others.some(([key]) => key.toLowerCase() === KEY)) return undefined;
  return { manifests, others: `{${others.map(([key, text]) => `"${key}":${text}`).join(",")}}` };
}

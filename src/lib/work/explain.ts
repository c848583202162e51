/** Says what a refusal means for a manifest: the API server's words first, then what may be done. */

import { describeError } from "../errors.ts";
import { KubeError, type RefusalCause } from "./kube_api.ts";

/** More are only counted: a condition is one line. */
const CAUSES_MAX = 10;

/** How Kubernetes says of a field that it may not be changed; each kind has words of its own. */
const UNCHANGEABLE = /immutable|(may not|cannot|can't) (be )?(change|update)|are forbidden/i;

/** The words for a condition. Those of the API server, which users know and search for, come first. */
export function explainError(error: unknown): string {
  const text = describeError(error);
  if (!(error instanceof KubeError)) return text;
  const advice = error.status === 409 ? ofConflicts(error) : ofUnchangeable(error);
  return advice === undefined ? text : `${text} (${advice})`;
}

function ofConflicts({ causes }: KubeError): string | undefined {
  const owned = causes.filter(({ reason }) => reason === "FieldManagerConflict");
  if (owned.length === 0) return undefined;
  const list = owned.map(({ field, message }) => `${field} is set by ${managerOf(message)}`);
  return `${listed(list)}; leave it out of the manifest, or take it over with ` +
    "serverSideApply.force";
}

function managerOf(message: string): string {
  return /^conflict with (".*?")/.exec(message)?.[1] ?? message;
}

function ofUnchangeable({ status, causes }: KubeError): string | undefined {
  if (status !== 422) return undefined;
  const fields = causes.filter(isUnchangeable).map(({ field }) => field);
  if (fields.length === 0) return undefined;
  return `${listed([...new Set(fields)])} cannot be changed: put back the old value, or delete ` +
    "the object, which is then made anew";
}

function isUnchangeable({ message }: RefusalCause): boolean {
  return UNCHANGEABLE.test(message);
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, CAUSES_MAX).join(", ");
  const more = items.length - CAUSES_MAX;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

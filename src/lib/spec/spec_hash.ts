/** By which it is known whether a spec says something new. */

import { createHash } from "node:crypto";
import { canonicalJson, type JsonObject, parseJsonObject } from "../json.ts";

/** What clients fill in anew each time, and what therefore makes no difference. */
export const VOLATILE_METADATA = [
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "managedFields",
];

/** By which an update that changes nothing is known. */
export function specHash({ spec, metadata }: { spec: string; metadata?: string }): string {
  const hash = createHash("sha256").update(spec);
  if (metadata !== undefined) hash.update("\n").update(canonicalJson(stable(metadata)));
  return hash.digest("hex");
}

function stable(metadata: string): JsonObject {
  const members = Object.entries(parseJsonObject(metadata, "the metadata"));
  return Object.fromEntries(members.filter(([key]) => !VOLATILE_METADATA.includes(key)));
}

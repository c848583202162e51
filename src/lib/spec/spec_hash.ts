/** By which it is known whether a spec says something new. */

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
  const text = metadata === undefined ? spec : `${spec}\n${canonicalJson(stable(metadata))}`;
  return Bun.SHA256.hash(text, "hex");
}

function stable(metadata: string): JsonObject {
  const members = parseJsonObject(metadata, "the metadata");
  for (const name of VOLATILE_METADATA) if (name in members) delete members[name];
  return members;
}

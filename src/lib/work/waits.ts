/** What a manifest that could not be applied waits for: when it comes, another attempt is worth making. */

import { KubeError, type ObjectRef } from "./kube_api.ts";

/** One thing that is missing on the cluster. */
export type Wait =
  /** The kind is not served: its CustomResourceDefinition is missing, or not established yet. */
  | { crd: { group: string; kind: string } }
  /** The namespace of the object is missing. */
  | { namespace: string }
  /** An object that the API server asked for by name. */
  | { object: { group: string; resource: string; namespace: string; name: string } };

/** What the API server says is missing when it refuses to create or change an object. */
export function waitOf(error: unknown, ref: ObjectRef): Wait | undefined {
  if (!(error instanceof KubeError) || error.status !== 404) return undefined;
  const { type, namespace } = ref;
  if (error.reason === "PathNotFound") return { crd: { group: type.group, kind: type.kind } };
  const missing = /^namespaces "([^"]+)" not found$/.exec(error.message)?.[1];
  return missing !== undefined && missing === namespace ? { namespace } : undefined;
}

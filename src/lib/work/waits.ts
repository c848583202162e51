/** What a manifest that could not be applied waits for: when it comes, another attempt is worth making. */

import { KubeError, type ObjectRef } from "./kube_api.ts";

/** One thing that is missing on the cluster. */
export type Wait =
  /** The kind is not served: its CustomResourceDefinition is missing, or not established yet. */
  | { crd: { group: string; kind: string } }
  /** The namespace of the object is missing. */
  | { namespace: string };

/** A key for a wait, for maps. */
export function waitKey(wait: Wait): string {
  if ("crd" in wait) return `crd/${wait.crd.group}/${wait.crd.kind}`;
  return `namespace/${wait.namespace}`;
}

/** What the API server says is missing when it refuses to create or change an object. */
export function waitOf(error: unknown, ref: ObjectRef): Wait | undefined {
  if (!(error instanceof KubeError)) return undefined;
  const { type, namespace } = ref;
  // One that terminates goes, and may come again.
  if (error.status === 403 && /because it is being terminated$/.test(error.message)) {
    return { namespace };
  }
  if (error.status !== 404) return undefined;
  if (error.reason === "PathNotFound") return { crd: { group: type.group, kind: type.kind } };
  const missing = /^namespaces "([^"]+)" not found$/.exec(error.message)?.[1];
  return missing !== undefined && missing === namespace ? { namespace } : undefined;
}

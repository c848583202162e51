/** Finds where each manifest lives on the cluster. */

import { isObject, type JsonObject } from "../json.ts";
import type { ResourceMeta } from "../wire/work_status.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { Refusal } from "./refusal.ts";
import { textOf } from "./work.ts";

/** A type is served when its definition is established: mostly a moment after it is applied. Beyond that the work is tried again. */
const DEFINED_WAIT_MS = 5_000;
const DEFINED_POLL_MS = { first: 25, max: 400 };

/**
 * Resolves the kind of a manifest.
 *
 * Returns undefined if the cluster does not serve it. Throws a `Refusal` if a namespace is missing; one that
 * a cluster-scoped kind cannot have is dropped.
 */
export async function locate(
  kube: Kube,
  meta: ResourceMeta,
  options: { isExpected?: boolean } = {},
): Promise<ObjectRef | undefined> {
  const { group, version, kind, name, namespace } = meta;
  const apiVersion = group === "" ? version : `${group}/${version}`;
  const type = await kube.resolve(apiVersion, kind, options);
  if (type === undefined) return undefined;
  if (type.isNamespaced && namespace === "") {
    throw new Refusal(
      "AppliedManifestFailed",
      `the namespace of ${kind} "${name}" is missing, and the kind is namespaced`,
    );
  }
  return { type, name, namespace: type.isNamespaced ? namespace : "" };
}

/** Resolves a kind, waiting a little until it is served if one of these manifests, which are applied, defines it. */
export async function locateDefined(
  kube: Kube,
  meta: ResourceMeta,
  applied: readonly JsonObject[],
): Promise<ObjectRef> {
  const isExpected = applied.some((manifest) => defines(manifest, meta));
  const deadline = performance.now() + (isExpected ? DEFINED_WAIT_MS : 0);
  for (let pauseMs = DEFINED_POLL_MS.first;; pauseMs = Math.min(2 * pauseMs, DEFINED_POLL_MS.max)) {
    const ref = await locate(kube, meta, { isExpected });
    if (ref !== undefined) return ref;
    if (performance.now() >= deadline) {
      // The words of peers, which users know. A definition may come later from elsewhere.
      throw new Refusal(
        "AppliedManifestFailed",
        `the server doesn't have a resource type "${meta.kind}"`,
        0,
        { crd: { group: meta.group, kind: meta.kind } },
      );
    }
    await Bun.sleep(pauseMs);
  }
}

function defines(manifest: JsonObject, { group, kind }: ResourceMeta): boolean {
  if (textOf(manifest, "kind") !== "CustomResourceDefinition") return false;
  const { spec } = manifest;
  if (!isObject(spec) || !isObject(spec["names"])) return false;
  return spec["group"] === group && spec["names"]["kind"] === kind;
}

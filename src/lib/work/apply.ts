/** Brings one manifest to the cluster, by the strategy that its work asks for. */

import type { JsonObject } from "../json.ts";
import type { UpdateStrategy } from "../wire/work_spec.ts";
import { type Kube, KubeError, type ObjectRef } from "./kube_api.ts";
import { makeOrRead, readOrMake } from "./make.ts";
import { forCreation, type Ownership } from "./metadata.ts";
import { patchOwners, readUnowned } from "./owners.ts";
import { Refusal } from "./refusal.ts";
import { applyServerSide } from "./server_side_apply.ts";
import { updateObject } from "./update.ts";
import { metadataOf } from "./work.ts";

/** One manifest, ready to be applied. */
export interface Target {
  ref: ObjectRef;
  manifest: JsonObject;
  strategy: UpdateStrategy;
  ownership: Ownership;
  /** The manifest or its options are not those that were applied last. */
  isNew: boolean;
  /** Nobody has seen the object: it is probably not there. */
  isMissing: boolean;
}

type Apply = (kube: Kube, target: Target) => Promise<JsonObject | undefined>;

const STRATEGIES = new Map<string, Apply>([
  ["Update", updateObject],
  ["CreateOnly", createOnly],
  ["ServerSideApply", applyServerSide],
  ["ReadOnly", readUnowned],
]);

/**
 * Applies one manifest and returns the object as it is then; undefined if a read-only object is not there.
 *
 * Writes only what differs. Throws a `Refusal` for options that make no sense, and what the API refuses.
 */
export async function applyManifest(
  kube: Kube,
  target: Target,
): Promise<JsonObject | undefined> {
  const type = target.strategy.type || "Update";
  const apply = STRATEGIES.get(type);
  if (apply === undefined) {
    throw new Refusal("InvalidConfig", `unknown update strategy "${type}"`);
  }
  const { ref } = target;
  const object = await apply(kube, { ...target, manifest: normalise(target.manifest, ref) });
  if (object === undefined && type !== "ReadOnly") {
    // No watch will tell: it was not there for this work yet. The next attempt makes it.
    const text = `${ref.type.resource} "${ref.name}" went while it was applied`;
    throw new KubeError(404, "NotFound", text);
  }
  return object;
}

/** The manifest without what only the server may say, and with the namespace that its kind has. */
function normalise(manifest: JsonObject, ref: ObjectRef): JsonObject {
  const metadata: JsonObject = { ...metadataOf(manifest) };
  delete metadata["uid"];
  if (ref.type.isNamespaced) metadata["namespace"] = ref.namespace;
  else delete metadata["namespace"];
  return { ...manifest, metadata };
}

async function createOnly(
  kube: Kube,
  { ref, manifest, ownership, isMissing }: Target,
): Promise<JsonObject | undefined> {
  const wanted = forCreation(manifest, ownership);
  const found = await (isMissing ? makeOrRead : readOrMake)(kube, ref, wanted);
  return "made" in found ? found.made : await patchOwners(kube, ref, found.live, ownership);
}

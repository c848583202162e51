/** The ServerSideApply strategy: the API server merges, and knows who owns which field. */

import { isObject, type JsonObject, parseJson } from "../json.ts";
import type { Target } from "./apply.ts";
import { isSatisfied } from "./compare.ts";
import { LEDGER_API_VERSION, LEDGER_KIND } from "./crd.ts";
import { goObjectHash, openRemover, type Remover, SPEC_HASH_ANNOTATION } from "./ignore_fields.ts";
import { withOwnedIgnored } from "./kept_fields.ts";
import { type Kube, KubeError } from "./kube_api.ts";
import { mergeOwners, type Ownership, ownersOf } from "./metadata.ts";
import { patchOwners } from "./owners.ts";
import { FIELD_OWNER, metadataOf } from "./work.ts";

/** Attempts to send what was read a moment before; in between somebody may write. */
const ATTEMPTS_MAX = 3;

/** Applies a new manifest always, and one that was applied before only if the live object differs from it. */
export async function applyServerSide(kube: Kube, target: Target): Promise<JsonObject | undefined> {
  const { ref, strategy } = target;
  const cleaned = { ...target, manifest: withoutNullTimes(target.manifest) };
  const rules = strategy.serverSideApply?.ignoreFields ?? [];
  const remover = rules.length > 0 ? await openRemover(rules) : undefined;
  for (let attempt = 1;; attempt++) {
    const live = await kube.get(ref);
    try {
      return remover === undefined
        ? await applyWhole(kube, cleaned, live)
        : await applyIgnoring(kube, cleaned, remover, live);
    } catch (error) {
      if (!isOutdated(error) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function applyWhole(
  kube: Kube,
  target: Target,
  live: JsonObject | undefined,
): Promise<JsonObject | undefined> {
  const { ownership, isNew, manifest } = target;
  if (!isNew && live !== undefined && isSatisfied(manifest, live, ownership)) return live;
  return await send(kube, target, manifest, live);
}

/**
 * Leaves ignored fields to others.
 *
 * The hash on the object tells whether the work has changed since they were sent. All other fields are held to
 * the manifest, whatever it says.
 */
async function applyIgnoring(
  kube: Kube,
  target: Target,
  remover: Remover,
  live: JsonObject | undefined,
): Promise<JsonObject | undefined> {
  const { ref, ownership, manifest, strategy } = target;
  const reduced = remover.withoutPresent(manifest);
  const hash = goObjectHash(reduced);
  if (live === undefined) return await send(kube, target, annotated(manifest, hash), live);
  const { annotations } = metadataOf(live);
  const isSame = isObject(annotations) && annotations[SPEC_HASH_ANNOTATION] === hash;
  const remove = isSame ? remover.withoutAll : remover.withoutPresent;
  const [wanted, kept] = [remove(manifest), withoutIfItFits(live, remove)];
  if (isSame && isSatisfied(wanted, kept, ownership)) {
    return await patchOwners(kube, ref, live, ownership);
  }
  const manager = strategy.serverSideApply?.fieldManager || FIELD_OWNER;
  const whole = withOwnedIgnored(wanted, { live, kept, manager });
  return await send(kube, target, annotated(atVersionOf(whole, live), hash), live);
}

/** An expression may fail on what others have added; then nothing of the live object is ignored. */
function withoutIfItFits(live: JsonObject, remove: Remover["withoutAll"]): JsonObject {
  try {
    return remove(live);
  } catch {
    return live;
  }
}

/**
 * A live value that we send back must not undo what somebody has written since, nor outlive the object. Of one that is
 * gone the server would make another, whatever version was named; the uid is what keeps it from that.
 */
function atVersionOf(manifest: JsonObject, live: JsonObject): JsonObject {
  const { uid, resourceVersion } = metadataOf(live);
  return { ...manifest, metadata: { ...metadataOf(manifest), uid, resourceVersion } };
}

function isOutdated(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409 &&
    !error.message.startsWith("Apply failed");
}

function annotated(manifest: JsonObject, hash: string): JsonObject {
  const metadata = metadataOf(manifest);
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  return {
    ...manifest,
    metadata: { ...metadata, annotations: { ...annotations, [SPEC_HASH_ANNOTATION]: hash } },
  };
}

async function send(
  kube: Kube,
  { ref, ownership, strategy }: Target,
  manifest: JsonObject,
  live: JsonObject | undefined,
): Promise<JsonObject | undefined> {
  const { fieldManager, force } = strategy.serverSideApply ?? {};
  // The owner reference travels with the object, so that no crash can leave it without one.
  const applied = await kube.patch(ref, withOwners(manifest, live, ownership), {
    type: "apply",
    fieldManager: fieldManager || FIELD_OWNER,
    force: force === true,
  });
  return applied === undefined ? undefined : await patchOwners(kube, ref, applied, ownership);
}

/**
 * The manifest with our owner reference, and with those of other works: to the server they are of the same manager, who would
 * take them away by not naming them. If another work comes in between, its watch sees that it was robbed, and it adds itself.
 * One that goes in between must not come back: it would never go again, and keep the object.
 */
function withOwners(
  manifest: JsonObject,
  live: JsonObject | undefined,
  ownership: Ownership,
): JsonObject {
  const { ownerReferences, ...metadata } = metadataOf(manifest);
  const own = ownersOf(ownerReferences);
  const shared = ownersOf(metadataOf(live)["ownerReferences"]).filter(({ apiVersion, kind, uid }) =>
    apiVersion === LEDGER_API_VERSION && kind === LEDGER_KIND &&
    !own.some((owner) => owner["uid"] === uid)
  );
  const owners = mergeOwners([...own, ...shared], ownership);
  const isNamed = owners.length > 0;
  const whole = {
    ...manifest,
    metadata: isNamed ? { ...metadata, ownerReferences: owners } : metadata,
  };
  const isShared = shared.some(({ uid }) => uid !== ownership.owner.uid);
  return live !== undefined && isShared ? atVersionOf(whole, live) : whole;
}

/** Go writes `creationTimestamp: null` into templates; to the server that is a change each time. */
function withoutNullTimes(manifest: JsonObject): JsonObject {
  const copy = parseJson(JSON.stringify(manifest)) as JsonObject;
  removeNullTimes(copy);
  return copy;
}

function removeNullTimes(value: unknown): void {
  if (Array.isArray(value)) value.forEach(removeNullTimes);
  if (!isObject(value)) return;
  for (const [key, member] of Object.entries(value)) {
    if (key === "metadata" && isObject(member) && member["creationTimestamp"] === null) {
      delete member["creationTimestamp"];
    }
    removeNullTimes(member);
  }
}

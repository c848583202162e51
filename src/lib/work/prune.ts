/** Deletes what a work no longer wants, or releases it if others do. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { LEDGER_API_VERSION, LEDGER_KIND } from "./crd.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import type { AppliedResource } from "./ledger.ts";
import { mergeOwners, type OwnerReference, ownersOf } from "./metadata.ts";
import { isOrphan, optionsFor, type Ownerships } from "./options.ts";
import { resourceRank } from "./rank.ts";
import { FIELD_OWNER, metadataOf } from "./work.ts";

/**
 * How long objects of a higher rank may take to go before the next rank is deleted as well.
 *
 * Longer gives operators time to finalise what they own; shorter lets one stuck object hold up less.
 */
const RANK_PATIENCE_MS = 30_000;

/** Objects that are deleted at once. */
const PARALLEL_MAX = 8;

/** Looks at an object that changes between the look and the deletion; then it has to wait for the next round. */
const ATTEMPTS_MAX = 5;

/** An object that does not go by itself. */
export interface Wait {
  entry: AppliedResource;
  /** Who must let it go first. */
  finalizers: string[];
  /** When it was deleted. */
  since: string;
}

/** What is left to do, and why if something refused. */
export interface Pruned {
  /** Objects that are still there: they terminate, could not be deleted, or their turn has not come. */
  pending: AppliedResource[];
  /** Those of them that terminate. */
  waits: Wait[];
  errors: string[];
}

/** For whom objects are deleted, since when, and what of them stays. */
export interface Pruning {
  owner: OwnerReference;
  /** When this deletion began. */
  sinceMs: number;
  nowMs: number;
  /** By which the source says what stays; without it nothing does. */
  ownerships: Ownerships | undefined;
  /** The uids of what the work has now: one object may have a name in two groups. */
  wanted?: ReadonlySet<string>;
  /** False once the source has said something else: what is not gone by then stays for that. */
  isCurrent?: () => boolean;
}

/** What became of an object; `later` if nothing was to be done any more. */
type State = "gone" | "later" | Wait;

/** Where an applied resource lives, as it was listed. */
export function refOf({ group, version, resource, namespace, name }: AppliedResource): ObjectRef {
  const type = { group, version, kind: "", resource, isNamespaced: namespace !== "" };
  return { type, namespace, name };
}

/**
 * Deletes the objects that the owner owns alone; of shared ones, and those to be orphaned, it gives up its share.
 *
 * Kinds that others need go last. An object that is not ours is forgotten.
 * The caller calls again until nothing is pending.
 */
export async function pruneResources(
  kube: Kube,
  log: Logger,
  resources: readonly AppliedResource[],
  pruning: Pruning,
): Promise<Pruned> {
  const { sinceMs, nowMs, isCurrent = () => true } = pruning;
  const ranks = Map.groupBy(resources, ({ resource }) => resourceRank(resource));
  const order = [...ranks.keys()].sort((a, b) => b - a);
  // Every rank in turn gets its patience before the ones below stop waiting for it.
  const patient = Math.floor((nowMs - sinceMs) / RANK_PATIENCE_MS);
  const result: Pruned = { pending: [], waits: [], errors: [] };
  let waitedFor = 0;
  for (const rank of order) {
    const group = ranks.get(rank) ?? [];
    if (waitedFor > patient) {
      result.pending.push(...group);
      continue;
    }
    const before = result.pending.length;
    for (let at = 0; at < group.length; at += PARALLEL_MAX) {
      if (!isCurrent()) {
        result.pending.push(...group.slice(at));
        break;
      }
      const batch = group.slice(at, at + PARALLEL_MAX);
      const states = await Promise.allSettled(
        batch.map((entry) => pruneUnchanged(kube, log, entry, pruning)),
      );
      states.forEach((state, index) => {
        const entry = batch[index];
        if (entry === undefined) return;
        if (state.status === "rejected") {
          result.errors.push(`${entry.resource} ${entry.name}: ${describeError(state.reason)}`);
          result.pending.push(entry);
        } else if (state.value !== "gone") {
          result.pending.push(entry);
          if (state.value !== "later") result.waits.push(state.value);
        }
      });
    }
    if (result.pending.length > before) waitedFor++;
  }
  return result;
}

/** An object that changed in between is looked at anew: it may have got another owner, or be another. */
async function pruneUnchanged(
  kube: Kube,
  log: Logger,
  entry: AppliedResource,
  pruning: Pruning,
): Promise<State> {
  for (let attempt = 1;; attempt++) {
    try {
      return await pruneOne(kube, log, entry, pruning);
    } catch (error) {
      const isConflict = error instanceof KubeError && error.status === 409;
      if (!isConflict || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function pruneOne(
  kube: Kube,
  log: Logger,
  entry: AppliedResource,
  { owner, ownerships, wanted, isCurrent = () => true }: Pruning,
): Promise<State> {
  const found = await read(kube, entry);
  if (found === undefined) return "gone";
  const { ref, live } = found;
  const metadata = metadataOf(live);
  const owners = ownersOf(metadata["ownerReferences"]);
  // The owner tells whose it is. The uid in the list may be of an object that was made anew since.
  if (!owners.some(({ uid }) => uid === owner.uid)) return "gone";
  if (wanted?.has(String(metadata["uid"]))) return "gone";
  if (!isCurrent()) return "later";
  // An orphan may still have its owner, where no version that says so was applied with it.
  if (isToStay(entry, ownerships) || owners.some((other) => isOtherLedger(other, owner))) {
    await releaseOwner(kube, ref, metadata, owner);
    return "gone";
  }
  if (metadata["deletionTimestamp"] !== undefined) return waitOf(entry, metadata);
  const [uid, resourceVersion] = [String(metadata["uid"]), String(metadata["resourceVersion"])];
  // As it was seen: since then another work may have made it its own as well.
  const options = { uid, resourceVersion, propagationPolicy: "Background" } as const;
  const isThere = await kube.delete(ref, options);
  log.info("deleted", { resource: ref.type.resource, namespace: ref.namespace, name: ref.name });
  if (!isThere) return "gone";
  // Most objects go at once; seeing that here saves the caller a round of waiting.
  const after = metadataOf((await read(kube, entry))?.live);
  return after["uid"] === uid ? waitOf(entry, after) : "gone";
}

/** True if the source says that this object stays when the work lets it go. */
export function isToStay(entry: AppliedResource, ownerships: Ownerships | undefined): boolean {
  return ownerships !== undefined &&
    isOrphan(ownerships.deleteOption, entry, optionsFor(ownerships.configs, entry));
}

function waitOf(entry: AppliedResource, metadata: JsonObject): Wait {
  const { finalizers, deletionTimestamp } = metadata;
  return {
    entry,
    finalizers: Array.isArray(finalizers) ? finalizers.map(String) : [],
    since: String(deletionTimestamp ?? ""),
  };
}

/** The object and where it is now, if it is there. */
async function read(
  kube: Kube,
  entry: AppliedResource,
): Promise<{ ref: ObjectRef; live: JsonObject } | undefined> {
  const listed = refOf(entry);
  const readAt = async (ref: ObjectRef) => {
    const live = await kube.get(ref);
    return live === undefined ? undefined : { ref, live };
  };
  try {
    return await readAt(listed);
  } catch (error) {
    if (!(error instanceof KubeError && error.reason === "PathNotFound")) throw error;
    const type = await kube.relocate(listed.type);
    // A type that is no longer served took its objects with it; a version of it did not.
    return type === undefined ? undefined : await readAt({ ...listed, type });
  }
}

function isOtherLedger(other: JsonObject, owner: OwnerReference): boolean {
  return other["apiVersion"] === LEDGER_API_VERSION && other["kind"] === LEDGER_KIND &&
    other["uid"] !== owner.uid;
}

/** Takes the owner away from an object, if it is one, and leaves the object to whoever else wants it. */
export async function releaseResource(
  kube: Kube,
  entry: AppliedResource,
  owner: OwnerReference,
): Promise<void> {
  const found = await read(kube, entry);
  if (found === undefined) return;
  const metadata = metadataOf(found.live);
  const owners = ownersOf(metadata["ownerReferences"]);
  if (!owners.some(({ uid }) => uid === owner.uid)) return;
  await releaseOwner(kube, found.ref, metadata, owner);
}

async function releaseOwner(
  kube: Kube,
  ref: ObjectRef,
  { uid, resourceVersion, ownerReferences }: JsonObject,
  owner: OwnerReference,
): Promise<void> {
  const rest = mergeOwners(ownerReferences, { owner, isOwned: false });
  await kube.patch(ref, { metadata: { uid, resourceVersion, ownerReferences: rest } }, {
    type: "merge",
    fieldManager: FIELD_OWNER,
  });
}

/**
 * AppliedManifestWorks: the agent's memory on the cluster, and the owners of what it applied.
 *
 * Their names, fields and owner references are those of the Go agent, so that either can take over from the other.
 */

import { createHash } from "node:crypto";
import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import { isRfc3339, timeMicros } from "../wire/time.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ObjectRef, ResourceType } from "./kube_api.ts";
import { LEDGER_API_VERSION, LEDGER_KIND } from "./crd.ts";
import {
  annotationOf,
  isSameList,
  labelChanges,
  readEntry,
  sortedList,
  subjectOf,
} from "./ledger_entry.ts";
import type { OwnerReference } from "./metadata.ts";
import { encodePlan, PLAN_ANNOTATION } from "./plan.ts";
import { decodeRecord, RECORD_ANNOTATION, type WorkRecord } from "./record.ts";
import { FIELD_OWNER, metadataOf, textOf } from "./work.ts";

const FINALIZER = "cluster.open-cluster-management.io/applied-manifest-work-cleanup";

/**
 * An object of the ledger without a work. It owns nothing and has no finalizer, so a Go agent that takes over removes it
 * as one whose work is gone.
 */
const FENCE_NAME = "maestro.deletions";
const FENCE_ANNOTATION = "maestro.open-cluster-management.io/deleted-until";

/** One object that the agent applied; `uid` is empty if it is not known. */
export interface AppliedResource {
  group: string;
  version: string;
  resource: string;
  namespace: string;
  name: string;
  uid: string;
}

/** One AppliedManifestWork as the agent knows it. */
export interface LedgerEntry {
  readonly name: string;
  readonly workName: string;
  /** False for one under another hub name: its objects are taken over, then it is released. */
  readonly isOwn: boolean;
  uid: string;
  /** The id of its work, once that is known; nearly always its name. */
  workUid?: string;
  resources: AppliedResource[];
  isDeleting: boolean;
  /** The labels that agents gave it: those of its work, and which source that is of. */
  labels: JsonObject;
  /** It names this hub, this agent and its work as this agent would. */
  isSpecOurs: boolean;
  /** Another agent has begun to count the time until it would evict the objects. */
  isEvicting: boolean;
  /** The list is newer than the one on the cluster. */
  isUnwritten: boolean;
  /** The list is only in the annotation that the object was made with. */
  isPlan: boolean;
  /** Of the record that was written last. */
  recordHash?: string;
}

/** Whose objects these are. */
export interface LedgerIdentity {
  /** What the Go agent calls the hub: the broker's host, or the URL. */
  hubName: string;
  /** Who else may go on with them; the hash of the hub's name unless given. */
  agentId?: string | undefined;
}

/** What the last life has left. */
export interface Loaded {
  /** Those under another hub name come last. */
  works: { entry: LedgerEntry; record: WorkRecord | undefined }[];
  /** The time of the last deletion that it has begun. */
  deletedUntil: string | undefined;
  /** The names of works that other agents have applied here, by the ids of those agents. */
  strangers: Map<string, string[]>;
}

export interface Ledger {
  readonly type: ResourceType;
  /** Those that belong to this hub or this agent, with what the last life wrote beside them. */
  load(): Promise<Loaded>;
  /** Keeps the time of the last deletion beside the works. */
  keepDeletedUntil(time: string): Promise<void>;
  get(workName: string): LedgerEntry | undefined;
  /** One that is gone by another's hand, until another follows it or it is released: what it lists may still be there. */
  lost(workName: string): LedgerEntry | undefined;
  /** Looks on the cluster for one that is not known. */
  seek(workName: string): Promise<void>;
  /** By the name of its object. */
  named(name: string): LedgerEntry | undefined;
  all(): Iterable<LedgerEntry>;
  /** Of the same work, under other hub names. */
  predecessors(workName: string): LedgerEntry[];
  /**
   * Returns the entry of a work, with its labels; its object is created or adopted. A created one lists what is planned
   * if there is room for it.
   */
  ensure(
    work: { name: string; uid: string },
    labels: JsonObject,
    planned: readonly AppliedResource[],
  ): Promise<LedgerEntry>;
  /** Stores the list of applied resources if it changed, and ends an eviction: its work is here. */
  writeResources(entry: LedgerEntry, resources: AppliedResource[]): Promise<void>;
  /** Remembers uids of objects that are listed already. They are written by the next `writeRecord` at the latest. */
  noteResources(entry: LedgerEntry, resources: AppliedResource[]): void;
  /** Stores what a later life must know, and the list of resources before it. */
  writeRecord(entry: LedgerEntry, text: string): Promise<void>;
  /** Ends an eviction that another agent has begun. */
  endEviction(entry: LedgerEntry): Promise<void>;
  /** Marks the object as being deleted. It stays until it is released. */
  startDeletion(entry: LedgerEntry): Promise<void>;
  /** Lets the object go, after everything that it lists is gone. */
  release(entry: LedgerEntry): Promise<void>;
  /** The cluster says how the object is now. Returns the entry if that matters. */
  observe(object: JsonObject): LedgerEntry | undefined;
  /** The cluster says that the object is gone, as it was last. */
  lose(object: JsonObject): LedgerEntry | undefined;
}

/** The lower-case hex SHA-256 of the broker's name, by which an agent knows its own objects. */
export function hubHashOf(hubName: string): string {
  return createHash("sha256").update(hubName).digest("hex");
}

/** The reference that applied objects carry. */
export function ownerReference(entry: LedgerEntry): OwnerReference {
  return {
    apiVersion: LEDGER_API_VERSION,
    kind: LEDGER_KIND,
    name: entry.name,
    uid: entry.uid,
  };
}

/** Opens the ledger of one hub. */
export function openLedger(
  kube: Kube,
  type: ResourceType,
  { hubName, agentId }: LedgerIdentity,
): Ledger {
  const hubHash = hubHashOf(hubName);
  const agentID = agentId ?? hubHash;
  const entries = new Map<string, LedgerEntry>();
  const lost = new Map<string, LedgerEntry>();
  // Names of those under other hub names; nearly always none.
  const older: string[] = [];
  const nameOf = (workName: string) => `${hubHash}-${workName}`;
  const refOf = (name: string): ObjectRef => ({ type, namespace: "", name });
  const fence = refOf(nameOf(FENCE_NAME));
  const options = { fieldManager: FIELD_OWNER, type: "merge" as const };
  const specOf = (workName: string) => ({ hubHash, agentID, manifestWorkName: workName });

  const remember = (object: JsonObject): LedgerEntry => {
    const entry = readEntry(object, hubHash);
    entry.isSpecOurs = canonicalJson(object["spec"]) === canonicalJson(specOf(entry.workName));
    entries.set(entry.name, entry);
    return entry;
  };

  const forget = (entry: LedgerEntry) => {
    // Another may have followed under its name: that one owns objects.
    if (entries.get(entry.name) === entry) entries.delete(entry.name);
    if (lost.get(entry.name) === entry) lost.delete(entry.name);
  };

  const lose = (entry: LedgerEntry) => {
    forget(entry);
    lost.set(entry.name, entry);
  };

  // What is told late, of one that another has followed under its name, says nothing of that.
  const entryOf = (object: JsonObject) => {
    const entry = entries.get(textOf(metadataOf(object), "name"));
    return entry?.uid === metadataOf(object)["uid"] ? entry : undefined;
  };

  const isOurs = (object: JsonObject) => {
    const spec = isObject(object["spec"]) ? object["spec"] : {};
    return textOf(metadataOf(object), "name").startsWith(nameOf("")) ||
      (spec["agentID"] === agentID && textOf(spec, "manifestWorkName") !== "");
  };

  // The uid in a patch is a precondition: an object of the same name that came later is left alone.
  const patch = (entry: LedgerEntry, body: JsonObject, subresource?: "status") =>
    kube.patch(
      refOf(entry.name),
      { ...body, metadata: { ...metadataOf(body), uid: entry.uid } },
      { ...options, ...(subresource ? { subresource } : {}) },
    );

  const create = async (
    workName: string,
    labels: JsonObject,
    planned: readonly AppliedResource[],
  ): Promise<LedgerEntry> => {
    const ref = refOf(nameOf(workName));
    const metadata: JsonObject = { name: ref.name, finalizers: [FINALIZER] };
    const plan = encodePlan(planned);
    if (plan !== undefined) metadata["annotations"] = { [PLAN_ANNOTATION]: plan };
    if (Object.keys(labels).length > 0) metadata["labels"] = labels;
    const wanted = {
      apiVersion: LEDGER_API_VERSION,
      kind: LEDGER_KIND,
      metadata,
      spec: specOf(workName),
    };
    try {
      return remember(await kube.create(ref, wanted, { fieldManager: FIELD_OWNER }));
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === "AlreadyExists")) throw error;
      const live = await kube.get(ref);
      if (live === undefined) throw error;
      return remember(live);
    }
  };

  // Another agent id with the same hub: its objects are taken over with their names and uids.
  const adopt = async (entry: LedgerEntry, labels: JsonObject): Promise<LedgerEntry> => {
    const changed = labelChanges(entry.labels, labels);
    if (entry.isDeleting || (entry.isSpecOurs && changed === undefined)) return entry;
    await patch(entry, {
      ...(entry.isSpecOurs ? {} : { spec: specOf(entry.workName) }),
      ...(changed === undefined ? {} : { metadata: { labels: changed } }),
    });
    entry.isSpecOurs = true;
    entry.labels = labels;
    return entry;
  };

  const writeResources: Ledger["writeResources"] = async (entry, resources) => {
    const sorted = sortedList(resources);
    const isSame = !entry.isUnwritten &&
      isSameList(sorted, entry.resources);
    if (isSame && !entry.isEvicting) return;
    const status = {
      ...(isSame ? {} : { appliedResources: sorted }),
      ...(entry.isEvicting ? { evictionStartTime: null } : {}),
    };
    await patch(entry, { status }, "status");
    entry.resources = sorted;
    entry.isUnwritten = false;
    entry.isPlan &&= isSame;
    entry.isEvicting = false;
  };

  return {
    type,
    async load() {
      const { items } = await kube.list(type, "");
      const ours = items.filter(isOurs);
      const isFence = (object: JsonObject) =>
        textOf(metadataOf(object), "name").endsWith(`-${FENCE_NAME}`);
      const works = ours.filter((object) => !isFence(object)).map((object) => {
        const entry = remember(object);
        const text = annotationOf(object, RECORD_ANNOTATION);
        if (typeof text === "string") entry.recordHash = hashOf(text);
        const record = decodeRecord(text);
        if (record !== undefined) entry.workUid = record.uid;
        if (!entry.isOwn) older.push(entry.name);
        return { entry, record };
      });
      const times = ours.filter(isFence).map((object) => annotationOf(object, FENCE_ANNOTATION))
        .filter((time) => typeof time === "string").filter(isRfc3339);
      const strangers = new Map<string, string[]>();
      for (const { agent, workName } of items.filter((item) => !isOurs(item)).map(subjectOf)) {
        const names = strangers.get(agent) ?? [];
        names.push(workName);
        strangers.set(agent, names);
      }
      return {
        strangers,
        works: works.toSorted((a, b) => Number(b.entry.isOwn) - Number(a.entry.isOwn)),
        deletedUntil: times.toSorted((a, b) => timeMicros(a) - timeMicros(b)).at(-1),
      };
    },
    async keepDeletedUntil(time) {
      const metadata = { name: fence.name, annotations: { [FENCE_ANNOTATION]: time } };
      if (await kube.patch(fence, { metadata }, options) !== undefined) return;
      const { apiVersion, kind } = { apiVersion: LEDGER_API_VERSION, kind: LEDGER_KIND };
      const object = { apiVersion, kind, metadata, spec: specOf(FENCE_NAME) };
      await kube.create(fence, object, { fieldManager: FIELD_OWNER });
    },
    get: (workName) => entries.get(nameOf(workName)),
    lost: (workName) => lost.get(nameOf(workName)),
    async seek(workName) {
      const live = await kube.get(refOf(nameOf(workName)));
      if (live !== undefined) remember(live);
    },
    named: (name) => entries.get(name),
    all: () => entries.values(),
    predecessors: (workName) =>
      older.flatMap((name) => entries.get(name) ?? []).filter((one) => one.workName === workName),
    async ensure({ name, uid }, labels, planned) {
      const entry = entries.get(nameOf(name)) ?? await create(name, labels, planned);
      lost.delete(entry.name);
      entry.workUid = uid;
      return await adopt(entry, labels);
    },
    writeResources,
    noteResources(entry, resources) {
      const sorted = sortedList(resources);
      if (isSameList(sorted, entry.resources)) return;
      entry.resources = sorted;
      entry.isUnwritten = true;
    },
    async writeRecord(entry, text) {
      // Of what could not be made nothing is learned, and its list has not changed; but it was perhaps made.
      entry.isUnwritten ||= entry.isPlan;
      await writeResources(entry, entry.resources);
      const hash = hashOf(text);
      if (entry.recordHash === hash) return;
      // The status is written, so that the plan has had its time.
      const annotations = { [RECORD_ANNOTATION]: text, [PLAN_ANNOTATION]: null };
      await patch(entry, { metadata: { annotations } });
      entry.recordHash = hash;
    },
    async endEviction(entry) {
      if (!entry.isEvicting) return;
      await patch(entry, { status: { evictionStartTime: null } }, "status");
      entry.isEvicting = false;
    },
    async startDeletion(entry) {
      if (entry.isDeleting) return;
      const isThere = await kube.delete(refOf(entry.name), {
        uid: entry.uid,
        propagationPolicy: "Background",
      });
      entry.isDeleting = true;
      if (!isThere) lose(entry);
    },
    async release(entry) {
      const live = await kube.get(refOf(entry.name));
      const metadata = metadataOf(live);
      if (live !== undefined && metadata["uid"] === entry.uid) {
        const finalizers = (metadata["finalizers"] as string[] | undefined) ?? [];
        await patch(entry, {
          metadata: { finalizers: finalizers.filter((name) => name !== FINALIZER) },
        });
      }
      forget(entry);
    },
    observe(object) {
      const entry = entryOf(object);
      if (entry === undefined || entry.isDeleting) return undefined;
      if (metadataOf(object)["deletionTimestamp"] === undefined) return undefined;
      entry.isDeleting = true;
      return entry;
    },
    lose(object) {
      const entry = entryOf(object);
      if (entry !== undefined) lose(entry);
      return entry;
    },
  };
}

function hashOf(text: string): string {
  return Bun.hash(text).toString(36);
}

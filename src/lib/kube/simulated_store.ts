/** The objects of a simulated cluster, their versions, and what follows when one of them goes. */

import { type JsonObject, parseJson } from "../json.ts";
import type { ObjectRef, ResourceType, WatchEvent, WatchOptions } from "../work/kube_api.ts";
import { hasFinalizers, isSame, metadataOf, ownersOf, timestamp } from "./simulated_object.ts";
import { startWatcher, tooOld, type Watcher } from "./simulated_watch.ts";

/** All that a simulated cluster consists of. */
export interface Store {
  shelves: Map<string, Shelf>;
  /** Counts the changes, as resourceVersion. */
  version: number;
  /** Told of each object that was created or changed. */
  onWritten: (ref: ObjectRef, object: JsonObject) => void;
}

/** All objects of one type, by namespace and name. */
interface Shelf {
  entries: Map<string, Entry>;
  watchers: Set<Watcher>;
  /** The version at which an object last went. Watches cannot start before it: what went is not kept. */
  deletedAt: number;
}

/** One object. Its JSON is a fraction of the size of the object, and parsing it makes the copy that readers get. */
interface Entry {
  ref: ObjectRef;
  text: string;
  owners: readonly string[];
  createdAt: number;
  changedAt: number;
}

/** What becomes of the dependents of an object that goes. */
export type Propagation = "Background" | "Foreground" | "Orphan";

/** A copy of an object. */
export function read(store: Store, ref: ObjectRef): JsonObject | undefined {
  const entry = shelfOf(store, ref.type).entries.get(keyOf(ref));
  return entry && parsed(entry);
}

/** Copies of all objects of a type. */
export function readAll(store: Store, type: ResourceType): JsonObject[] {
  return [...shelfOf(store, type).entries.values()].map(parsed);
}

/**
 * Stores `after`, tells the watchers, and returns what was stored.
 *
 * Nothing happens if nothing changes. An object that was deleted goes when its last finalizer does.
 */
export function write(
  store: Store,
  ref: ObjectRef,
  before: JsonObject | undefined,
  after: JsonObject,
): JsonObject {
  if (before !== undefined && isSame(before, after)) return before;
  const metadata = metadataOf(after);
  if (before && metadata["deletionTimestamp"] !== undefined && !hasFinalizers(after)) {
    takeOut(store, ref, before, "Background");
    return after;
  }
  const shelf = shelfOf(store, ref.type);
  const key = keyOf(ref);
  const changedAt = ++store.version;
  const stored = { ...after, metadata: { ...metadata, resourceVersion: String(changedAt) } };
  const entry = {
    ref,
    text: JSON.stringify(stored),
    owners: ownersOf(stored),
    createdAt: shelf.entries.get(key)?.createdAt ?? changedAt,
    changedAt,
  };
  shelf.entries.set(key, entry);
  for (const watcher of shelf.watchers) watcher.tell(entry.text, before, stored);
  store.onWritten(ref, stored);
  return parsed(entry);
}

/** Removes an object, or marks it as deleted if it has finalizers. */
export function remove(store: Store, ref: ObjectRef, propagation: Propagation): void {
  const before = read(store, ref);
  if (before === undefined) return;
  if (!hasFinalizers(before)) return takeOut(store, ref, before, propagation);
  const metadata = metadataOf(before);
  if (metadata["deletionTimestamp"] !== undefined) return;
  const marks = { deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 0 };
  write(store, ref, before, { ...before, metadata: { ...metadata, ...marks } });
}

/** Streams the changes of a type after a version, until the signal aborts. */
export async function* watch(
  store: Store,
  type: ResourceType,
  namespace: string,
  options: WatchOptions,
): AsyncGenerator<WatchEvent> {
  const shelf = shelfOf(store, type);
  const since = Number(options.resourceVersion);
  if (since > 0 && since < shelf.deletedAt) throw tooOld();
  const { watcher, events } = startWatcher(namespace, options);
  const missed = [...shelf.entries.values()].filter((entry) => entry.changedAt > since);
  for (const entry of missed.sort((a, b) => a.changedAt - b.changedAt)) {
    const object = parsed(entry);
    watcher.tell(entry.text, entry.createdAt > since ? undefined : object, object);
  }
  shelf.watchers.add(watcher);
  try {
    yield* events();
  } finally {
    shelf.watchers.delete(watcher);
  }
}

function takeOut(store: Store, ref: ObjectRef, last: JsonObject, propagation: Propagation): void {
  const shelf = shelfOf(store, ref.type);
  if (!shelf.entries.delete(keyOf(ref))) return;
  shelf.deletedAt = ++store.version;
  const metadata = { ...metadataOf(last), resourceVersion: String(store.version) };
  const text = JSON.stringify({ ...last, metadata });
  for (const watcher of shelf.watchers) watcher.tell(text, last, undefined);

  if (ref.type.group === "" && ref.type.kind === "Namespace") emptyNamespace(store, ref.name);
  collectGarbage(store, String(metadataOf(last)["uid"]), propagation);
}

function emptyNamespace(store: Store, name: string): void {
  for (const { ref } of allEntries(store)) {
    if (ref.type.isNamespaced && ref.namespace === name) remove(store, ref, "Background");
  }
}

/** Removes what depended on an object that is gone; what has another owner, or is orphaned, loses the reference. */
function collectGarbage(store: Store, uid: string, propagation: Propagation): void {
  for (const { ref, owners } of allEntries(store)) {
    if (!owners.includes(uid)) continue;
    const dependent = read(store, ref);
    if (dependent === undefined) continue;
    const hasOthers = owners.some((owner) => owner !== uid);
    if (propagation !== "Orphan" && !hasOthers) remove(store, ref, "Background");
    else write(store, ref, dependent, withoutOwner(dependent, uid));
  }
}

function withoutOwner(object: JsonObject, uid: string): JsonObject {
  const metadata = metadataOf(object);
  const references = metadata["ownerReferences"] as JsonObject[];
  const ownerReferences = references.filter((reference) => reference["uid"] !== uid);
  return { ...object, metadata: { ...metadata, ownerReferences } };
}

/** A list of its own, since the entries change while it is gone through. */
function allEntries(store: Store): Entry[] {
  return [...store.shelves.values()].flatMap((shelf) => [...shelf.entries.values()]);
}

function shelfOf(store: Store, { group, resource }: ResourceType): Shelf {
  const key = `${group}/${resource}`;
  let shelf = store.shelves.get(key);
  if (shelf === undefined) {
    shelf = { entries: new Map(), watchers: new Set(), deletedAt: 0 };
    store.shelves.set(key, shelf);
  }
  return shelf;
}

function keyOf({ type, namespace, name }: ObjectRef): string {
  return type.isNamespaced ? `${namespace}/${name}` : name;
}

function parsed({ text }: Entry): JsonObject {
  return parseJson(text) as JsonObject;
}

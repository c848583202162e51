/**
 * What waits for a slow subscriber: the newest state of each resource, with the place to come back to.
 *
 * A newer state takes the place of one that waits, so that a resource which changes all the time is not put off. The
 * place that goes out with an entry is therefore not its own: it is just before the first change that still
 * waits, so whoever comes back there misses nothing. Deletions are told each, and no state passes one.
 */

interface Waiting<Value, Place> {
  key: string;
  value: Value;
  bytes: number;
  /** It ends a life of the resource. */
  isFinal?: boolean;
  /** Just before the first change that this entry stands for. */
  before: Place;
}

export interface WaitingChanges<Value, Place> {
  /** Adds a change that brings the feed to `next`. */
  push(entry: Omit<Waiting<Value, Place>, "before">, next: Place): void;
  /** Everything up to this place has been seen. */
  move(next: Place): void;
  /** Takes the oldest, with the place from which nothing is missed once it has been told. */
  shift(): { value: Value; resume: Place } | undefined;
  readonly size: number;
  readonly bytes: number;
  /** From where nothing that waits is missed. */
  readonly resume: Place;
  /** Where the last change has brought it. */
  readonly place: Place;
  clear(): void;
}

/** Makes an empty one that begins at `start`. `combine` makes one value of one that waits and a newer one. */
export function createWaitingChanges<Value, Place>(
  start: Place,
  combine: (waiting: Value, newer: Value) => Value = (_, newer) => newer,
): WaitingChanges<Value, Place> {
  /** In the order of their first changes: what replaces keeps the place of what was. */
  const entries = new Map<string, Waiting<Value, Place>>();
  /** How often resources were deleted while something of them waited, which tells their lives apart. */
  const deaths = new Map<string, number>();
  let place = start;
  let bytes = 0;
  const slotOf = (key: string, life: number, kind: "state" | "death") => `${life} ${kind} ${key}`;
  const forget = (key: string) => {
    const life = deaths.get(key);
    if (life === undefined || entries.has(slotOf(key, life, "state"))) return;
    if (!entries.has(slotOf(key, life - 1, "death"))) deaths.delete(key);
  };
  const resume = () => {
    const [first] = entries.values();
    return first === undefined ? place : first.before;
  };
  return {
    push(entry, next) {
      const life = deaths.get(entry.key) ?? 0;
      const slot = slotOf(entry.key, life, entry.isFinal === true ? "death" : "state");
      const replaced = entries.get(slot);
      bytes += entry.bytes - (replaced?.bytes ?? 0);
      const value = replaced === undefined ? entry.value : combine(replaced.value, entry.value);
      entries.set(slot, { ...entry, value, before: replaced?.before ?? place });
      if (entry.isFinal === true) deaths.set(entry.key, life + 1);
      place = next;
    },
    move(next) {
      place = next;
    },
    shift() {
      const [first] = entries;
      if (first === undefined) return undefined;
      const [slot, { key, value, bytes: taken }] = first;
      entries.delete(slot);
      bytes -= taken;
      forget(key);
      return { value, resume: resume() };
    },
    get size() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    get resume() {
      return resume();
    },
    get place() {
      return place;
    },
    clear() {
      entries.clear();
      deaths.clear();
      bytes = 0;
    },
  };
}

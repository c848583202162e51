/**
 * Keeps what was said before a deletion from bringing back what the deletion removed.
 *
 * A broker may deliver days later, and a server may be held up between reading and sending. So events of ours say when
 * the database said so, and a deletion says since when it holds. Whatever is older than a deletion that this agent has
 * carried out is late. The deletions are remembered one by one for a while, and all before as one time, which is kept on
 * the cluster. Too much is never lost by that: what still lives is sent again, and then it is said anew.
 */

import { isObject } from "../json.ts";
import { type CloudEvent, EXT, optionalStringExtension, timeExtension } from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import { timeMicros } from "../wire/time.ts";

/** Deletions that are remembered one by one, about 0.6 MB; so many however old they are, and more for a while. */
const ENTRIES = { always: 1_000, max: 10_000, ageMicros: 600 * 1_000_000 };
/** As many bits as a number holds exactly. */
const KEY_BITS = 53;
const SECOND_MICROS = 1_000_000;
/** More than the clocks of a database and a cluster differ by. */
const SKEW_MICROS = 60 * SECOND_MICROS;

export interface Fence {
  /** True if the event, which is no deletion, is older than the deletion of its resource or may be. */
  isLate(uid: string, event: CloudEvent): boolean;
  /**
   * Notes a deletion that is about to be carried out. Resolves when the cluster has it: only then objects may go, and
   * the deletion be confirmed. One whose server tells no times (`isTimed`) is only remembered.
   */
  raise(
    uid: string,
    deletion: { deletionTimestamp: string; isTimed: boolean },
  ): Promise<void>;
}

/** Where the time of the last deletion is kept. */
export interface FenceStore {
  /** What an earlier life has kept; undefined if there was no deletion. */
  readonly deletedUntil: string | undefined;
  keep(deletedUntil: string): Promise<void>;
}

/** Starts with what is kept. A time that is far ahead of this clock came from one that was wrong. */
export function createFence(store: FenceStore, nowMs: number): Fence {
  const entries = new Map<number, number>();
  let floor = Math.min(microsOf(store.deletedUntil), nowMs * 1_000 + SKEW_MICROS);
  let kept = floor;
  let wanted = { text: store.deletedUntil ?? "", at: floor };
  let keeping: Promise<void> | undefined;

  const keep = async () => {
    const { text, at } = wanted;
    await store.keep(text);
    kept = at;
  };

  return {
    isLate(uid, event) {
      const readAt = optionalStringExtension(event, EXT.readAt);
      const deletedAt = entries.get(keyOf(uid)) ?? -Infinity;
      if (readAt !== undefined) {
        return timeMicros(timeExtension(event, EXT.readAt) ?? "") <= Math.max(floor, deletedAt);
      }
      // A peer's, which says at most when the resource was created, to the second. What we have asked for is no late word.
      if (parseEventType(event.type).action === ACTION.resyncResponse) return false;
      const createdAt = creationOf(event);
      return createdAt !== undefined && createdAt + SECOND_MICROS <= deletedAt;
    },
    async raise(uid, { deletionTimestamp, isTimed }) {
      const at = timeMicros(deletionTimestamp);
      const key = keyOf(uid);
      const before = entries.get(key) ?? -Infinity;
      // Set anew, the last one to be forgotten.
      entries.delete(key);
      entries.set(key, Math.max(before, at));
      for (const [oldest, deletedAt] of entries) {
        // A server that tells times says of every event whether it is older than that; of others' only this memory tells.
        const isOld = isTimed && entries.size > ENTRIES.always &&
          deletedAt < at - ENTRIES.ageMicros;
        if (!isOld && entries.size <= ENTRIES.max) break;
        entries.delete(oldest);
        floor = Math.max(floor, deletedAt);
      }
      if (!isTimed) return;
      if (at > wanted.at) wanted = { text: deletionTimestamp, at };
      // Those that come while one is kept share the next.
      while (kept < at) {
        keeping ??= keep().finally(() => keeping = undefined);
        await keeping;
      }
    },
  };
}

/**
 * What is remembered of a uid: half the memory of its text. Among 10,000 two share it once in 10^8 times; then an event of
 * one that is older than the deletion of the other counts as late, and is said anew like any that is late.
 */
function keyOf(uid: string): number {
  return Number(BigInt.asUintN(KEY_BITS, Bun.hash.xxHash64(uid)));
}

function microsOf(time: string | undefined): number {
  return time === undefined ? -Infinity : timeMicros(time);
}

function creationOf(event: CloudEvent): number | undefined {
  const text = event.extensions[EXT.metadata];
  if (typeof text !== "string" || text === "") return undefined;
  try {
    const metadata: unknown = JSON.parse(text);
    const created = isObject(metadata) ? metadata["creationTimestamp"] : undefined;
    const at = typeof created === "string" ? timeMicros(created) : NaN;
    return Number.isNaN(at) ? undefined : at;
  } catch {
    // What is wrong with it is reported with the work.
    return undefined;
  }
}

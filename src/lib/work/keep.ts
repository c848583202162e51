/** Keeps records of works on the cluster, a little later than they change and several changes at once. */

import type { Logger } from "../log.ts";
import type { Ledger } from "./ledger.ts";
import { createKeyedQueue } from "../keyed_queue.ts";
import type { Works } from "./receive.ts";
import { encodeRecord } from "./record.ts";

/** A restart within this time applies or reports a work once more than needed. */
const DELAY_MS = 2_000;
/** Applying goes first, but only for so long. */
const BUSY_DELAY_MS_MAX = 30_000;
const PARALLEL_MAX = 4;
const BACKOFF = { firstMs: 1_000, factor: 2, ceilingMs: 60_000 };

export interface Keeper extends AsyncDisposable {
  /** What is known of this work has changed. */
  touch(uid: string): void;
}

/** Creates a keeper. It waits while the agent is busy with more urgent things. Disposing writes what is left, so that an orderly restart knows everything. */
export function createKeeper(
  works: Works,
  ledger: Ledger,
  isBusy: () => boolean,
  log: Logger,
): Keeper {
  const touched = new Map<string, number>();

  const writeInTurn = async (uid: string): Promise<number | undefined> => {
    const waitedMs = performance.now() - (touched.get(uid) ?? 0);
    if (isBusy() && waitedMs < BUSY_DELAY_MS_MAX) return DELAY_MS;
    await write(uid);
    return undefined;
  };

  const write = async (uid: string) => {
    touched.delete(uid);
    const work = works.get(uid);
    const entry = work === undefined ? undefined : ledger.get(work.name);
    if (work === undefined || entry === undefined || entry.isDeleting || !work.isSettled) return;
    await ledger.writeRecord(entry, encodeRecord(work));
  };

  const queue = createKeyedQueue(writeInTurn, {
    name: "keep",
    workers: PARALLEL_MAX,
    backoff: BACKOFF,
    log,
  });

  return {
    touch(uid) {
      if (!touched.has(uid)) touched.set(uid, performance.now());
      queue.add(uid, DELAY_MS);
    },
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]();
      const written = await Promise.allSettled([...touched.keys()].map(write));
      for (const result of written) {
        if (result.status === "rejected") {
          log.warn("cannot keep a record", { error: result.reason });
        }
      }
    },
  };
}

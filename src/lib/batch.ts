/** Many callers, one statement: collects what arrives together, runs it, answers each. */

import { MaestroError } from "./errors.ts";

export interface BatchOptions<In> {
  /** What the callers do, for the error of a full queue. */
  name: string;
  /** Entries with the same key never share a batch; the later one waits for its turn. */
  key: (entry: In) => string;
  /** Entries in one run. More makes a statement cheaper an entry and the first entry later. */
  sizeMax: number;
  /**
   * So many are worth a run of their own: while they wait a second run begins beside the first, and a run takes no more than half
   * of those that wait. Without it a run takes all.
   *
   * Callers that wait for an answer before they say the next would all travel together otherwise: the database has nothing to do
   * while we read what they say, and we have nothing to do while it stores.
   */
  sizeGood?: number;
  /** Runs under way at once. The first takes whatever has arrived, the others only start when they must. */
  concurrency: number;
  /** A run that takes longer is held up, in milliseconds; 50 unless given. */
  slowMs?: number;
  /** Entries that wait. Beyond it callers are refused, which is better than memory without end. */
  waitingMax: number;
  /**
   * How long an entry may take while nothing moves, in milliseconds. Then its caller is refused as `unavailable`: if
   * its run had begun, nobody knows how that ends.
   */
  stallMsMax: number;
  /** True if an error of a run would meet each of its entries alone as well. */
  meetsAll: (error: unknown) => boolean;
}

/**
 * A run that takes longer than this is held up, and others start beside it.
 *
 * Until then whoever waits travels with others, so statements are fewer and fuller: with 32 callers a statement for each
 * handful costs PostgreSQL a fifth more a create.
 */
const SLOW_MS = 50;

/** Stalls are counted in looks, not by the clock: when we were held up ourselves, an answer may lie there unread. */
const LOOK_MS = 200;

type Waiting<In, Out> = {
  entry: In;
  /** Looks that it has seen in all, and since its run began. */
  looks: number;
  runLooks: number;
  resolve: (out: Out) => void;
  reject: (error: unknown) => void;
};

/**
 * Returns a function that runs its argument together with those of other callers.
 *
 * Nothing waits for a batch to fill: one starts as soon as the one before has ended, with all that has arrived
 * by then, so an idle system answers at once and a busy one fills its batches. `run` answers each entry at
 * its position, with a value or an `Error`. If a whole batch fails, its entries are run again one by
 * one, so that one bad entry fails alone: unless the error would meet them all.
 *
 * Callers wait as long as there is progress. When for a while no run has ended well, or theirs does not end, they
 * are refused; the order of one key's entries stays, so its next one waits for the end of that run.
 */
export function createBatch<In, Out>(
  run: (entries: In[]) => Promise<(Out | Error)[]>,
  options: BatchOptions<In>,
): (entry: In) => Promise<Out> {
  const { sizeMax, sizeGood = Infinity, slowMs = SLOW_MS } = options;
  let waiting: Waiting<In, Out>[] = [];
  const keysUnderWay = new Set<string>();
  let running = 0;
  let slow = 0;
  let isScheduled = false;
  /** Those of the runs under way. */
  const started = new Set<Waiting<In, Out>>();
  let looksWithoutEnd = 0;
  let looking: Timer | undefined;
  // The first comes at any moment of its interval.
  const looksMax = Math.ceil(options.stallMsMax / LOOK_MS) + 1;

  const refuse = (slot: Waiting<In, Out>, state: string) => {
    const reason = `nothing was answered for ${options.stallMsMax} ms; ${state}`;
    slot.reject(new MaestroError("unavailable", `Cannot ${options.name}: ${reason}`));
  };
  const look = () => {
    looksWithoutEnd++;
    const isStalled = looksWithoutEnd >= looksMax;
    for (const slot of started) {
      slot.looks++;
      slot.runLooks++;
      if (slot.runLooks < looksMax && !(isStalled && slot.looks >= looksMax)) continue;
      refuse(slot, "whether it took effect is not known");
      started.delete(slot);
    }
    const isHeld = ({ entry }: Waiting<In, Out>) => keysUnderWay.has(options.key(entry));
    const kept = waiting.filter((slot) => ++slot.looks < looksMax || (!isStalled && !isHeld(slot)));
    if (kept.length < waiting.length) {
      const keeping = new Set(kept);
      for (const slot of waiting) if (!keeping.has(slot)) refuse(slot, "nothing was tried");
      waiting = kept;
    }
    if (running > 0 || waiting.length > 0) return;
    clearInterval(looking);
    looking = undefined;
  };

  const settle = (slot: Waiting<In, Out>, answer: Out | Error | undefined) => {
    if (answer instanceof Error) slot.reject(answer);
    else slot.resolve(answer as Out);
  };

  const runOne = async (slot: Waiting<In, Out>) => {
    try {
      const [answer] = await run([slot.entry]);
      looksWithoutEnd = 0;
      settle(slot, answer);
    } catch (error) {
      slot.reject(error);
    }
  };

  const runBatch = async (batch: Waiting<In, Out>[]) => {
    try {
      const answers = await run(batch.map((slot) => slot.entry));
      looksWithoutEnd = 0;
      batch.forEach((slot, index) => settle(slot, answers[index]));
    } catch (error) {
      if (batch.length === 1 || options.meetsAll(error)) {
        for (const slot of batch) slot.reject(error);
      } else for (const slot of batch) await runOne(slot);
    }
  };

  const mayStart = () => {
    if (running >= options.concurrency) return false;
    const isBeside = running - slow === 1 && waiting.length >= sizeGood;
    return running === slow || isBeside || waiting.length >= sizeMax;
  };

  const start = () => {
    isScheduled = false;
    while (waiting.length > 0 && mayStart()) {
      const batch: Waiting<In, Out>[] = [];
      const later: Waiting<In, Out>[] = [];
      // An entry whose key is under way holds back its successors too: their order counts.
      const held = new Set(keysUnderWay);
      const half = Math.ceil(waiting.length / 2);
      const size = Math.min(sizeMax, Math.max(sizeGood, half));
      for (const slot of waiting) {
        const key = options.key(slot.entry);
        if (batch.length < size && !held.has(key)) batch.push(slot);
        else later.push(slot);
        held.add(key);
      }
      if (batch.length === 0) return;
      waiting = later;
      running++;
      const keys = batch.map((slot) => options.key(slot.entry));
      for (const key of keys) keysUnderWay.add(key);
      for (const slot of batch) started.add(slot);
      let isSlow = false;
      const timer = setTimeout(() => {
        isSlow = true;
        slow++;
        start();
      }, slowMs);
      // Never rejects: `runBatch` answers every slot.
      void runBatch(batch).finally(() => {
        clearTimeout(timer);
        running--;
        if (isSlow) slow--;
        for (const key of keys) keysUnderWay.delete(key);
        for (const slot of batch) started.delete(slot);
        start();
      });
    }
  };

  return (entry) =>
    new Promise<Out>((resolve, reject) => {
      if (waiting.length >= options.waitingMax) {
        reject(
          new MaestroError(
            "resource_exhausted",
            `Cannot ${options.name}: ${options.waitingMax} others are waiting`,
          ),
        );
        return;
      }
      waiting.push({ entry, looks: 0, runLooks: 0, resolve, reject });
      if (looking === undefined) {
        looksWithoutEnd = 0;
        looking = setInterval(look, LOOK_MS).unref();
      }
      if (isScheduled) return;
      isScheduled = true;
      // Callers of the same turn of the event loop travel together.
      setImmediate(start);
    });
}

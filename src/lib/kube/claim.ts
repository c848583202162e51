/**
 * Keeps a second agent of the same consumer from working beside the first one, where no election was asked for.
 *
 * The first one writes its name into a Lease and never renews it: in steady state nothing is written. Whoever comes
 * later asks in an annotation whether it is still there. The first one watches its Lease and answers; then the
 * other stands by. Without an answer it takes over, and the first one, should it come back, sees that and ends.
 * After a network has parted them both may work for some minutes; who cannot have that asks for an election.
 */

import { KubeError } from "../work/kube_api.ts";
import { describeError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { type LeaseObject, type LeaseRecord, microTime } from "./lease_object.ts";
import type { Leadership } from "./lease.ts";

const ASKED = "maestro.io/asked";
const ANSWERED = "maestro.io/answered";
const BIRTHPLACE = "maestro.io/birthplace";

export interface ClaimOptions {
  identity: string;
  /** Where processes are numbered, and our number: who is born in the same place knows whether we live. */
  birthplace: string;
  /** True if the process that was born there is known to be gone. */
  isGone: (birthplace: string) => boolean;
  /** How long the holder has to answer. */
  answerMs: number;
  /** The pause between two questions. */
  retryPeriodMs: number;
  nowMs: () => number;
  log: Logger;
}

/**
 * Waits until no other agent works; undefined if the signal aborts before. `standBy` is told who works.
 *
 * Where Leases may not be read or written, it warns and lets this one work unguarded.
 */
export async function claimPlace(
  lease: LeaseObject,
  options: ClaimOptions,
  signal: AbortSignal,
  standBy: (holder: string) => void,
): Promise<Leadership | undefined> {
  const { log, isGone, retryPeriodMs } = options;
  while (!signal.aborted) {
    try {
      const found = await lease.read();
      const isFree = found === undefined || found.holder === "" ||
        isGone(found.annotations[BIRTHPLACE] ?? "");
      const silent = isFree ? undefined : await askIfSilent(lease, found, options, signal);
      if (isFree || silent !== undefined) {
        // Over just that: an answer that comes now is heard.
        const before = silent ?? found;
        const held = await lease.write(claim(options, before), before);
        if (held !== undefined) return hold(lease, held, options);
        continue;
      }
      standBy(found.holder);
      await untilOther(lease, found.holder, retryPeriodMs, signal);
    } catch (error) {
      if (error instanceof KubeError && error.status !== 0 && error.status < 500) {
        log.warn("a second agent of this consumer would not be noticed", {
          lease: `${lease.ref.namespace}/${lease.ref.name}`,
          reason: describeError(error),
        });
        return unguarded();
      }
      log.warn("cannot see whether another agent works, trying again", { error });
      await pause(retryPeriodMs, signal);
    }
  }
  return undefined;
}

/**
 * Asks the holder. If it does not answer in time, returns what the Lease says then.
 *
 * Several may ask, and the last question takes the place of those before it. So any answer will do: the holder writes one
 * only over what it has read, and that was asked after ours.
 */
async function askIfSilent(
  lease: LeaseObject,
  found: LeaseRecord,
  { answerMs }: ClaimOptions,
  signal: AbortSignal,
): Promise<LeaseRecord | undefined> {
  const annotations = { ...found.annotations, [ASKED]: crypto.randomUUID() };
  const asked = await lease.write({ ...found, annotations }, found);
  // Somebody else has changed it: it is looked at anew.
  if (asked === undefined) return undefined;
  const isStill = (record: LeaseRecord | undefined) =>
    record?.holder === asked.holder && record.annotations[ANSWERED] === asked.annotations[ANSWERED];
  let isAnswered = false;
  await limited(answerMs, signal, (limit) =>
    lease.changed(asked, (record) => {
      isAnswered = !isStill(record);
      return isAnswered;
    }, limit));
  if (isAnswered || signal.aborted) return undefined;
  // Who may not watch learns it so.
  const now = await lease.read();
  return isStill(now) ? now : undefined;
}

/** Waits a period, or until the holder is another or none. */
async function untilOther(
  lease: LeaseObject,
  holder: string,
  periodMs: number,
  signal: AbortSignal,
): Promise<void> {
  const found = await lease.read();
  if (found?.holder !== holder) return;
  const wait = periodMs * (1 + Math.random() / 5);
  await limited(
    wait,
    signal,
    (limit) => lease.changed(found, (record) => record?.holder !== holder, limit),
  );
}

async function limited(
  ms: number,
  signal: AbortSignal,
  run: (limit: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const own = new AbortController();
  const end = pause(ms, AbortSignal.any([signal, own.signal])).then(() => own.abort());
  // A watch that ends early or fails leaves the time to be waited for.
  const watching = run(own.signal).then((isNews) => isNews && own.abort(), () => {});
  await end;
  await watching;
}

/** Answers whoever asks, and notices who has taken over. */
function hold(lease: LeaseObject, first: LeaseRecord, options: ClaimOptions): Leadership {
  const { identity, answerMs, nowMs, log } = options;
  const stop = new AbortController();
  const lost = Promise.withResolvers<string>();
  let held = first;
  let reason: string | undefined;

  const look = (record: LeaseRecord | undefined) => {
    // Deleted by somebody: nobody else holds it, and it is written again.
    if (record === undefined) return true;
    held = record;
    if (record.holder !== identity) return true;
    const question = record.annotations[ASKED];
    return question !== undefined && question !== record.annotations[ANSWERED];
  };
  const settle = async () => {
    const found = await lease.read();
    if (found !== undefined && found.holder !== identity) {
      reason = `"${found.holder}" has taken over`;
      return lost.resolve(reason);
    }
    if (found === undefined) {
      held = await lease.write(claim(options, undefined)) ?? held;
      return;
    }
    held = found;
    const question = found.annotations[ASKED];
    if (question === undefined || question === found.annotations[ANSWERED]) return;
    const annotations = { ...found.annotations, [ANSWERED]: question };
    held = await lease.write({ ...found, annotations, renewTime: microTime(nowMs()) }, found) ??
      held;
  };
  const loop = async () => {
    while (!stop.signal.aborted && reason === undefined) {
      try {
        await settle();
        const isNews = reason !== undefined || await lease.changed(held, look, stop.signal);
        // A gateway may end each watch at once; who asks can wait so long.
        if (!isNews) await pause(answerMs / 3, stop.signal);
      } catch (error) {
        if (stop.signal.aborted) return;
        log.debug("cannot watch the lease", { lease: lease.ref.name, error });
        await pause(answerMs / 3, stop.signal);
      }
    }
  };
  const finished = loop();
  return {
    lost: lost.promise,
    problem: () => reason,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
      if (reason !== undefined) return;
      reason = "it was given back";
      await release(lease, options).catch((error: unknown) => {
        log.warn("cannot release the lease", {
          lease: lease.ref.name,
          reason: describeError(error),
        });
      });
    },
  };
}

async function release(lease: LeaseObject, { identity, nowMs }: ClaimOptions): Promise<void> {
  const found = await lease.read();
  if (found?.holder !== identity) return;
  await lease.write({ ...found, holder: "", renewTime: microTime(nowMs()) }, found);
}

function unguarded(): Leadership {
  return {
    lost: new Promise(() => {}),
    problem: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function claim(
  { identity, birthplace, retryPeriodMs, nowMs }: ClaimOptions,
  found: LeaseRecord | undefined,
): Omit<LeaseRecord, "resourceVersion"> {
  const now = microTime(nowMs());
  return {
    holder: identity,
    durationMs: retryPeriodMs,
    transitions: (found?.transitions ?? -1) + 1,
    acquireTime: now,
    renewTime: now,
    annotations: { [BIRTHPLACE]: birthplace },
  };
}

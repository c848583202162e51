/**
 * Leader election: of several processes the one that holds a Lease works, and the others stand by.
 *
 *   standing by ──free, released or expired──▶ leading ──renewed──▶ leading
 *                                                 │
 *                                                 └──not renewed in time, or taken──▶ lost
 *
 * As client-go does it, so that its processes and ours may stand by for each other. No clock but our own counts: a
 * Lease has expired when we have seen it unchanged for as long as its holder promised to renew it.
 */

import { describeError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { type LeaseObject, type LeaseRecord, microTime } from "./lease_object.ts";

export interface ElectionOptions {
  identity: string;
  /** For how long others leave a Lease alone that is not renewed. */
  leaseDurationMs: number;
  /** A leader that could not renew for so long has lost. Shorter than the duration. */
  renewDeadlineMs: number;
  /** The pause between two attempts to get the Lease, or to renew it. */
  retryPeriodMs: number;
  /** The time of day, for what is written. */
  nowMs: () => number;
  /** A clock that never jumps. */
  elapsedMs: () => number;
  log: Logger;
}

/** What a process has that may work. Disposing gives it to the next one at once. */
export interface Leadership extends AsyncDisposable {
  /** Resolves with the reason when another process may work. Never, if it is disposed before. */
  readonly lost: Promise<string>;
  /** Why no call may change anything any more; undefined while leading. */
  problem(): string | undefined;
}

/** Waits until this process leads; undefined if the signal aborts before. `standBy` is told who leads instead. */
export async function electLeader(
  lease: LeaseObject,
  options: ElectionOptions,
  signal: AbortSignal,
  standBy: (holder: string) => void,
): Promise<Leadership | undefined> {
  const { elapsedMs, retryPeriodMs, log } = options;
  let seen: { record: LeaseRecord; atMs: number } | undefined;
  while (!signal.aborted) {
    let waitMs = retryPeriodMs * (1 + Math.random() / 5);
    try {
      const startedAt = elapsedMs();
      const found = await lease.read();
      if (found?.resourceVersion !== seen?.record.resourceVersion) seen = undefined;
      if (found !== undefined) seen ??= { record: found, atMs: elapsedMs() };
      const leftMs = seen === undefined ? 0 : seen.atMs + seen.record.durationMs - elapsedMs();
      if (found === undefined || found.holder === "" || leftMs <= 0) {
        const held = await lease.write(claim(options, found), found);
        if (held !== undefined) return keep(lease, held, options, startedAt);
        continue;
      }
      standBy(found.holder);
      waitMs = Math.min(waitMs, leftMs + 1);
    } catch (error) {
      log.warn("cannot get the lease, trying again", { lease: lease.ref.name, error });
    }
    await untilReleased(lease, seen?.record, waitMs, signal);
  }
  return undefined;
}

/** Renews until that fails for too long, or somebody else holds the Lease. */
function keep(
  lease: LeaseObject,
  first: LeaseRecord,
  options: ElectionOptions,
  startedAtMs: number,
): Leadership {
  const { identity, renewDeadlineMs, retryPeriodMs, elapsedMs, nowMs, log } = options;
  const stop = new AbortController();
  const lost = Promise.withResolvers<string>();
  let held: LeaseRecord = first;
  /** From the moment that the write was begun: others count from when they see it, which is later. */
  let renewedAt = startedAtMs;
  let reason: string | undefined;

  const problem = () => {
    if (reason === undefined && elapsedMs() - renewedAt > renewDeadlineMs) {
      reason = `it was not renewed for ${Math.round(renewDeadlineMs / 1000)} s`;
      lost.resolve(reason);
    }
    return reason;
  };
  const renew = async () => {
    const beganAt = elapsedMs();
    const renewed = await lease.write({ ...held, renewTime: microTime(nowMs()) }, held);
    if (renewed !== undefined) {
      [held, renewedAt] = [renewed, beganAt];
      return;
    }
    const found = await lease.read();
    if (found?.holder === identity) held = found;
    else reason ??= `"${found?.holder ?? ""}" holds it`;
  };
  const loop = async () => {
    let failed = false;
    for (;;) {
      await pause(failed ? Math.min(1_000, retryPeriodMs) : retryPeriodMs, stop.signal);
      if (stop.signal.aborted) return;
      // A call may take longer than what is left.
      const inTime = pause(Math.max(1, renewedAt + renewDeadlineMs - elapsedMs()), stop.signal);
      const before = renewedAt;
      await Promise.race([
        inTime,
        renew().catch((error: unknown) => {
          log.warn("cannot renew the lease", { lease: lease.ref.name, error });
        }),
      ]);
      failed = renewedAt === before;
      if (stop.signal.aborted) return;
      if (problem() !== undefined) return lost.resolve(reason ?? "");
    }
  };
  const finished = loop();
  return {
    lost: lost.promise,
    problem,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
      if (problem() !== undefined) return;
      reason = "it was given back";
      const released = { ...held, holder: "", durationMs: 1_000, renewTime: microTime(nowMs()) };
      await lease.write(released, held).catch((error: unknown) => {
        log.warn("cannot release the lease", {
          lease: lease.ref.name,
          reason: describeError(error),
        });
      });
    },
  };
}

/** A record by which we hold the Lease, given what it is now. */
function claim(
  { identity, leaseDurationMs, nowMs }: ElectionOptions,
  found: LeaseRecord | undefined,
): Omit<LeaseRecord, "resourceVersion"> {
  const now = microTime(nowMs());
  return {
    holder: identity,
    durationMs: leaseDurationMs,
    transitions: (found?.transitions ?? -1) + 1,
    acquireTime: now,
    renewTime: now,
    annotations: found?.annotations ?? {},
  };
}

/** Waits, or until somebody gives the Lease back. Without the right to watch only the time counts. */
async function untilReleased(
  lease: LeaseObject,
  record: LeaseRecord | undefined,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const own = new AbortController();
  const waiting = pause(waitMs, AbortSignal.any([signal, own.signal]));
  if (record !== undefined) {
    const isFree = (found: LeaseRecord | undefined) => found === undefined || found.holder === "";
    // A watch that ends early or fails leaves the time to be waited for.
    const watching = lease.changed(record, isFree, own.signal);
    watching.then((isNews) => isNews && own.abort(), () => {});
  }
  await waiting;
  own.abort();
}

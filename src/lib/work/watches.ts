/**
 * Watches for the objects of all works: few streams, each as narrow as can be, shared and counted.
 *
 * Objects are passed on and forgotten. Where to watch changes with what is wanted (`scopes.ts`); a stream that is
 * given up stays until those that replace it have told everything, so that no event falls in between.
 */

import type { Logger } from "../log.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { placeKey, planScopes, type ScopeLimits } from "./scopes.ts";
import { createSingleReads, type Place } from "./single_reads.ts";
import { createWants, type Interest, type Wanted, type Wants } from "./wants.ts";
import { openStream, type Sighting, type StreamTold, type WatchStream } from "./watch_stream.ts";

export interface Watches extends AsyncDisposable {
  /** Replaces what an owner wants to hear about. */
  want(owner: string, interests: readonly Interest[]): void;
  /** Reads a whole object that is wanted, and tells of it; not more often than once a second. */
  read(ref: ObjectRef): void;
}

export interface WatchesOptions {
  /** The pause between polls of what may not be watched. */
  pollMs: number;
  log: Logger;
  limits?: ScopeLimits;
  silenceMsMax?: number;
}

/**
 * Bun carries 256 requests at once and lets all others wait, so that too many streams would stop every call.
 *
 * Measured: 64 names cost 70 ms of processor time and 4.6 MB, a namespace with 10,000 objects of others costs
 * 200 ms and 6 MB (16 MB for a moment) each time it is begun, and every change in it later.
 */
const LIMITS: ScopeLimits = { streamsMax: 96, namesMax: 32 };
/** Plans are made at once, and then not more often than this: works come in hundreds. */
const PLAN_PAUSE_MS = 100;
/** After a restart works come one after the other: many are sought together, a stream tells anew this often at most. */
const SEEK_PAUSE_MS = 1_000;
const SEEK_POLL_MS = 250;
const SEEK_MS_MAX = 30_000;
/** A right that is missing may be granted, or was only missing while the server started. */
const FORBIDDEN_MS = 300_000;

/** Starts with no watch at all. `seen` is told of each object an owner wants, first as it is now. */
export function startWatches(
  kube: Kube,
  seen: (owner: string, ref: ObjectRef, sighting: Sighting) => void,
  options: WatchesOptions,
): Watches {
  const { pollMs, log, limits = LIMITS } = options;
  const wants = createWants();
  const pool = createPool();
  const forbidden = new Map<string, number>();
  const sizes = new Map<string, number>();
  const tell = (wanted: Wanted, sighting: Sighting) => {
    const { ref, owners } = wanted;
    wanted.isSought = false;
    for (const owner of [...owners.keys()]) seen(owner, ref, sighting);
  };
  const reads = createSingleReads(kube, wants, tell, log);
  const seeker = createSeeker(wants, pool.streams);
  const poller = createPoller(reads.readWithin, pollMs);

  const told: StreamTold = {
    seen: tell,
    completed({ scope }, objects) {
      if (scope.name === "" && sizes.get(placeKey(scope)) !== objects) {
        sizes.set(placeKey(scope), objects);
        // A wide stream may turn out to carry little but what is wanted.
        planner.soon();
      }
      pool.closeReplaced();
    },
    async forbidden({ scope }) {
      if (scope.name === "") {
        forbidden.set(placeKey(scope), performance.now());
        planner.soon();
      }
      await reads.readWithin(scope);
      pool.closeReplaced();
    },
  };

  const plan = () => {
    for (const [key, atMs] of forbidden) {
      if (performance.now() - atMs > FORBIDDEN_MS) forbidden.delete(key);
    }
    const { scopes, polled } = planScopes(wants.types(), {
      isOpen: (key) => pool.streams.has(key),
      isForbidden: (key) => forbidden.has(key),
      sizeOf: (key) => sizes.get(key),
    }, limits);
    for (const [key, { scope }] of pool.streams) {
      if (scopes.get(key)?.metadataOnly !== scope.metadataOnly) pool.retire(key);
    }
    for (const [key, scope] of scopes) {
      if (!pool.streams.has(key)) {
        pool.streams.set(key, openStream(kube, wants, scope, told, options));
      }
    }
    for (const key of sizes.keys()) if (!scopes.has(key)) sizes.delete(key);
    if (polled.length > 0 && !poller.isPolling()) {
      log.warn("too much to watch, polling the rest", {
        streams: scopes.size,
        polled: polled.length,
      });
    }
    poller.poll(polled);
    pool.closeReplaced();
  };
  const planner = createPlanner(plan);

  return {
    want(owner, interests) {
      if (wants.replace(owner, interests)) planner.soon();
      if (interests.some(({ isSought }) => isSought)) seeker.seek();
    },
    read: reads.read,
    async [Symbol.asyncDispose]() {
      planner[Symbol.dispose]();
      seeker[Symbol.dispose]();
      poller[Symbol.dispose]();
      await Promise.all([pool[Symbol.asyncDispose](), reads[Symbol.asyncDispose]()]);
    },
  };
}

/** Runs a plan at once, and again after a pause if it is asked for meanwhile. */
function createPlanner(plan: () => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let plannedAtMs = -Infinity;
  let isStopped = false;
  return {
    soon() {
      if (timer !== undefined || isStopped) return;
      timer = setTimeout(() => {
        timer = undefined;
        plannedAtMs = performance.now();
        plan();
      }, Math.max(0, plannedAtMs + PLAN_PAUSE_MS - performance.now()));
    },
    [Symbol.dispose]() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** Lets streams tell anew that were open before somebody came who has to be told. */
function createSeeker(wants: Wants, streams: ReadonlyMap<string, WatchStream>) {
  const startedOver = new WeakMap<WatchStream, number>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let soughtAtMs = -Infinity;
  const isSought = ({ scope: { type, namespace, name } }: WatchStream) => {
    for (const wanted of wants.within(type, namespace, name)) if (wanted.isSought) return true;
    return false;
  };
  const look = () => {
    timer = undefined;
    const now = performance.now();
    let isDone = true;
    for (const stream of streams.values()) {
      if (!isSought(stream)) continue;
      isDone = false;
      const last = startedOver.get(stream);
      // Whoever came in the meantime is told by the next time.
      if (last === undefined || stream.isTelling) startedOver.set(stream, now);
      else if (now - last >= SEEK_PAUSE_MS) {
        startedOver.set(stream, now);
        stream.startOver();
      }
    }
    if (!isDone && now - soughtAtMs < SEEK_MS_MAX) timer = setTimeout(look, SEEK_POLL_MS);
  };
  return {
    seek() {
      soughtAtMs = performance.now();
      timer ??= setTimeout(look, SEEK_POLL_MS);
    },
    [Symbol.dispose]() {
      soughtAtMs = -Infinity;
      clearTimeout(timer);
    },
  };
}

/** The open streams by their place, and those that others replace. */
function createPool() {
  const streams = new Map<string, WatchStream>();
  const retiring = new Set<WatchStream>();
  const closing = new Set<Promise<void>>();

  const close = (stream: WatchStream) => {
    const closed = Promise.resolve(stream[Symbol.asyncDispose]());
    closing.add(closed);
    // Never rejects: a followed scope catches everything.
    void closed.finally(() => closing.delete(closed));
  };

  return {
    streams,
    retire(key: string) {
      const stream = streams.get(key);
      streams.delete(key);
      if (stream !== undefined) retiring.add(stream);
    },
    /** Closes what is given up as soon as all other streams of its type have told everything. */
    closeReplaced() {
      for (const stream of retiring) {
        const { group, resource } = stream.scope.type;
        const isReplaced = [...streams.values()].every(({ scope: { type }, isReady }) =>
          isReady || type.resource !== resource || type.group !== group
        );
        if (!isReplaced) continue;
        retiring.delete(stream);
        close(stream);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const stream of [...streams.values(), ...retiring]) close(stream);
      streams.clear();
      retiring.clear();
      await Promise.all(closing);
    },
  };
}

/** Reads places again and again, with a pause between the rounds. */
function createPoller(readWithin: (place: Place) => Promise<void>, pauseMs: number) {
  let places: readonly Place[] = [];
  let isRunning = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const round = async () => {
    isRunning = true;
    for (const place of places) await readWithin(place);
    isRunning = false;
    // A round never rejects: what cannot be read is logged.
    timer = places.length === 0 ? undefined : setTimeout(() => void round(), pauseMs);
  };
  return {
    isPolling: () => places.length > 0,
    poll(wanted: readonly Place[]) {
      places = wanted;
      if (places.length > 0 && timer === undefined && !isRunning) void round();
    },
    [Symbol.dispose]() {
      places = [];
      clearTimeout(timer);
    },
  };
}

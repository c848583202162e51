/**
 * Follows the objects of one scope: all there are, then what changes, again and again, whatever happens in between.
 *
 * A watch that ends or breaks goes on from where it was. Only where the server has forgotten that place, everything
 * is told anew.
 */

import { backoffMs } from "../backoff.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ResourceType } from "./kube_api.ts";
import { metadataOf, textOf } from "./work.ts";

/** What to follow: one object by its name, a namespace, or (`""`) all of them. */
export interface Scope {
  type: ResourceType;
  namespace: string;
  name: string;
  metadataOnly: boolean;
}

/** Who hears about the objects. The calls come in order; none of them may throw. */
export interface Follower {
  /** All objects there are will be told, and then `complete`. */
  begin(): void;
  changed(object: JsonObject): void;
  /** The object as it was last, with the version at which it went. */
  deleted(object: JsonObject): void;
  /** What was not told since `begin` was not there at this version; empty if the type itself is gone. */
  complete(resourceVersion: string): void;
  /** Watching is forbidden: read what matters one by one. */
  poll(): Promise<void>;
}

export interface FollowOptions {
  /** The pause between polls where watching is forbidden. */
  pollMs: number;
  log: Logger;
  /** A connection without a word for so long is taken for dead; Kubernetes says something every minute. */
  silenceMsMax?: number;
}

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 10_000 };
/** Two of the bookmarks that a server sends each minute, and some patience. */
const SILENCE_MS_MAX = 150_000;
/** A watch that ends sooner than this did not end by the clock: the next one waits. */
const BRIEF_MS = 1_000;
/** After a restart of the server all streams begin anew; they do not do so in the same moment. */
const SPREAD_MS = 1_000;

export interface Followed extends AsyncDisposable {
  /** Tells everything anew, for somebody who has come later. */
  startOver(): void;
}

/** Starts following; disposing ends it. */
export function followScope(
  kube: Kube,
  scope: Scope,
  follower: Follower,
  { pollMs, log, silenceMsMax = SILENCE_MS_MAX }: FollowOptions,
): Followed {
  const { type, namespace, name, metadataOnly } = scope;
  const stop = new AbortController();
  const { signal } = stop;
  const fields = { resource: type.resource, group: type.group, namespace, name };
  let resourceVersion: string | undefined;
  let failures = 0;
  let isToStartOver = false;
  let hearing: ReturnType<typeof listenUntilSilent> | undefined;

  const stream = async () => {
    if (isToStartOver) resourceVersion = undefined;
    isToStartOver = false;
    hearing = listenUntilSilent(signal, silenceMsMax);
    const options = {
      metadataOnly,
      signal: hearing.signal,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(name === "" ? {} : { fieldSelector: `metadata.name=${name}` }),
    };
    let isBeginning = resourceVersion === undefined;
    if (isBeginning) follower.begin();
    try {
      for await (const event of kube.watch(type, namespace, options)) {
        if (signal.aborted) return;
        hearing.hear({ isPromised: event.type === "BOOKMARK" });
        if (event.type === "DELETED") follower.deleted(event.object);
        else if (event.type !== "BOOKMARK") follower.changed(event.object);
        const version = textOf(metadataOf(event.object), "resourceVersion");
        if (event.isInitialEnd) {
          isBeginning = false;
          follower.complete(version);
        }
        // The objects that come first are in no order of time: only their end is a place to go on from.
        if (!isBeginning) resourceVersion = version;
      }
    } finally {
      hearing.end();
    }
  };

  const recover = async (error: unknown) => {
    const status = error instanceof KubeError ? error.status : 0;
    if (status === 410 || isAhead(error)) {
      resourceVersion = undefined;
      await pause(Math.random() * SPREAD_MS, signal);
      return;
    }
    // The type itself is gone, and its objects with it, unless somebody in between says so, or of one version.
    if (error instanceof KubeError && error.reason === "PathNotFound" && await isUnserved()) {
      resourceVersion = undefined;
      follower.begin();
      follower.complete("");
    }
    if (status === 403 || status === 405) {
      resourceVersion = undefined;
      if (failures++ === 0) log.warn("watching is forbidden, polling", { ...fields, error });
      await follower.poll();
      await pause(pollMs, signal);
      return;
    }
    await retreat(error);
  };

  const isUnserved = () => kube.relocate(type).then((found) => found === undefined, () => false);

  const retreat = async (error?: unknown) => {
    const delayMs = backoffMs(failures++, BACKOFF, Math.random());
    log.debug("watch failed, trying again", { ...fields, delay_ms: delayMs, error });
    await pause(delayMs, signal);
  };

  const loop = async () => {
    while (!signal.aborted) {
      const startedAtMs = performance.now();
      const lasted = () => performance.now() - startedAtMs >= BRIEF_MS;
      try {
        await stream();
        if (lasted() || isToStartOver) failures = 0;
        else if (!signal.aborted) await retreat();
      } catch (error) {
        if (signal.aborted) return;
        if (lasted()) failures = 0;
        await recover(error);
      }
    }
  };

  const finished = loop();
  return {
    startOver() {
      isToStartOver = true;
      hearing?.stop();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

/** True if the server is behind what it said before: its store was restored. */
function isAhead(error: unknown): boolean {
  return error instanceof KubeError && /Too large resource version/i.test(error.message);
}

/** A signal that aborts with another, and when nothing was heard for too long though something was promised. */
function listenUntilSilent(outer: AbortSignal, silenceMsMax: number) {
  const own = new AbortController();
  const end = () => own.abort();
  outer.addEventListener("abort", end, { once: true });
  if (outer.aborted) end();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    signal: own.signal,
    stop: end,
    hear({ isPromised }: { isPromised: boolean }) {
      // Who sends bookmarks will send more of them.
      if (timer !== undefined) timer.refresh();
      else if (isPromised) timer = setTimeout(end, silenceMsMax);
    },
    end() {
      clearTimeout(timer);
      outer.removeEventListener("abort", end);
    },
  };
}

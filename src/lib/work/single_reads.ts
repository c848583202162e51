/** Reads wanted objects one by one: where a stream tells too little, or may not be opened. */

import { describeError } from "../errors.ts";
import { createKeyedQueue } from "../keyed_queue.ts";
import type { Logger } from "../log.ts";
import type { Kube, ObjectRef, ResourceType } from "./kube_api.ts";
import { placeKey } from "./scopes.ts";
import type { Wanted, Wants } from "./wants.ts";
import type { Sighting } from "./watch_stream.ts";
import { metadataOf, textOf } from "./work.ts";

/** An object that changes all the time is read this often, and its first change at once. */
const PAUSE_MS = 1_000;
const READERS_MAX = 8;
const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 30_000 };

/** A type, a namespace of it, or one name. */
export interface Place {
  type: ResourceType;
  namespace: string;
  name: string;
}

export interface SingleReads extends AsyncDisposable {
  /** Reads one object soon, as far as it is wanted. */
  read(ref: ObjectRef): void;
  /** Reads everything that is wanted within a place, one after the other. */
  readWithin(place: Place): Promise<void>;
}

/** Creates the reads; `seen` is told of each. */
export function createSingleReads(
  kube: Kube,
  wants: Wants,
  seen: (wanted: Wanted, sighting: Sighting) => void,
  log: Logger,
): SingleReads {
  const asked = new Map<string, ObjectRef>();
  let isStopped = false;

  const look = async (wanted: Wanted, { isWatched }: { isWatched: boolean }) => {
    wanted.readAtMs = performance.now();
    const object = await kube.get(wanted.ref);
    // Its stream tells when it went; without that time an old absence could pass for a new one.
    if (object === undefined && isWatched) return;
    const resourceVersion = textOf(metadataOf(object), "resourceVersion");
    seen(wanted, { object, resourceVersion, isPartial: false });
  };

  const queue = createKeyedQueue(async (key) => {
    const ref = asked.get(key);
    const wanted = ref && wants.get(ref.type, ref.namespace, ref.name);
    if (wanted !== undefined) await look(wanted, { isWatched: true });
    // Kept until it was read: a failure is tried again.
    if (asked.get(key) === ref) asked.delete(key);
    return undefined;
  }, { name: "read", workers: READERS_MAX, backoff: BACKOFF, log });

  return {
    read(ref) {
      const wanted = wants.get(ref.type, ref.namespace, ref.name);
      if (wanted === undefined) return;
      const key = placeKey(ref);
      asked.set(key, { ...ref });
      queue.add(key, Math.max(0, wanted.readAtMs + PAUSE_MS - performance.now()));
    },
    async readWithin({ type, namespace, name }) {
      for (const wanted of [...wants.within(type, namespace, name)]) {
        if (isStopped) return;
        try {
          await look(wanted, { isWatched: false });
        } catch (error) {
          log.debug("cannot read", { object: placeKey(wanted.ref), reason: describeError(error) });
        }
      }
    },
    async [Symbol.asyncDispose]() {
      isStopped = true;
      await queue[Symbol.asyncDispose]();
    },
  };
}

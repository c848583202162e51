/**
 * Watches for the objects of all works: one stream per type and namespace, shared and counted.
 *
 * Objects are passed on and forgotten. A stream carries only metadata unless somebody wants to read more.
 */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { followType } from "./follow.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { metadataOf, objectKey, textOf } from "./work.ts";

/** One object that a work wants to hear about. */
export interface Interest {
  ref: ObjectRef;
  /** Rules read its spec or status, so metadata is not enough. */
  isWhole: boolean;
}

/** What was seen of an object, and at which version of its type. */
export interface Sighting {
  /** Undefined: it is not there. */
  object: JsonObject | undefined;
  /** Empty if it is not known. */
  resourceVersion: string;
}

export interface Watches extends AsyncDisposable {
  /** Replaces what an owner wants to hear about. */
  want(owner: string, interests: readonly Interest[]): void;
}

interface Stream extends AsyncDisposable {
  /** The owners that want each name. */
  names: Map<string, { ref: ObjectRef; owners: Set<string> }>;
}

/** Starts with no watch at all. `seen` is told of each object an owner wants, first as it is now. */
export function startWatches(
  kube: Kube,
  seen: (owner: string, ref: ObjectRef, sighting: Sighting) => void,
  { pollMs, log }: { pollMs: number; log: Logger },
): Watches {
  const streams = new Map<string, Stream>();
  const wanted = new Map<string, Map<string, Interest>>();
  const closing = new Set<Promise<void>>();

  const open = ({ ref, isWhole }: Interest): Stream => {
    const names: Stream["names"] = new Map();
    const tell = (name: string, sighting: Sighting) => {
      const found = names.get(name);
      if (found === undefined) return;
      for (const owner of found.owners) seen(owner, found.ref, sighting);
    };
    const nameOf = (object: JsonObject) => textOf(metadataOf(object), "name");
    const versionOf = (object: JsonObject) => textOf(metadataOf(object), "resourceVersion");
    const follower = {
      listed({ items, resourceVersion }: { items: JsonObject[]; resourceVersion: string }) {
        const missing = new Set(names.keys());
        for (const object of items) {
          missing.delete(nameOf(object));
          tell(nameOf(object), { object, resourceVersion: versionOf(object) });
        }
        for (const name of missing) tell(name, { object: undefined, resourceVersion });
      },
      changed(object: JsonObject) {
        tell(nameOf(object), { object, resourceVersion: versionOf(object) });
      },
      deleted(object: JsonObject) {
        tell(nameOf(object), { object: undefined, resourceVersion: versionOf(object) });
      },
      async poll() {
        for (const [name, { ref }] of [...names]) {
          try {
            const object = await kube.get(ref);
            tell(name, { object, resourceVersion: object ? versionOf(object) : "" });
          } catch (error) {
            log.debug("cannot read", { object: objectKey(ref), reason: describeError(error) });
          }
        }
      },
    };
    const options = { metadataOnly: !isWhole, pollMs, log };
    const followed = followType(kube, ref.type, ref.namespace, follower, options);
    return { names, [Symbol.asyncDispose]: () => followed[Symbol.asyncDispose]() };
  };

  const add = (owner: string, interest: Interest) => {
    const key = streamKey(interest);
    let stream = streams.get(key);
    if (stream === undefined) {
      stream = open(interest);
      streams.set(key, stream);
    }
    const { ref } = interest;
    const entry = stream.names.get(ref.name) ?? { ref, owners: new Set<string>() };
    entry.owners.add(owner);
    stream.names.set(ref.name, entry);
  };

  const remove = (owner: string, interest: Interest) => {
    const key = streamKey(interest);
    const stream = streams.get(key);
    const entry = stream?.names.get(interest.ref.name);
    if (stream === undefined || entry === undefined) return;
    entry.owners.delete(owner);
    if (entry.owners.size > 0) return;
    stream.names.delete(interest.ref.name);
    if (stream.names.size > 0) return;
    streams.delete(key);
    const closed = Promise.resolve(stream[Symbol.asyncDispose]());
    closing.add(closed);
    // Never rejects: a followed type catches everything.
    void closed.finally(() => closing.delete(closed));
  };

  return {
    want(owner, interests) {
      const before = wanted.get(owner) ?? new Map<string, Interest>();
      const now = new Map(
        interests.map((interest) => [`${interest.isWhole}/${objectKey(interest.ref)}`, interest]),
      );
      // Added first: a stream that both need stays open.
      for (const [key, interest] of now) if (!before.has(key)) add(owner, interest);
      for (const [key, interest] of before) if (!now.has(key)) remove(owner, interest);
      if (now.size > 0) wanted.set(owner, now);
      else wanted.delete(owner);
    },
    async [Symbol.asyncDispose]() {
      const open = [...streams.values()].map((stream) => stream[Symbol.asyncDispose]());
      streams.clear();
      await Promise.all([...open, ...closing]);
    },
  };
}

function streamKey({ ref: { type, namespace }, isWhole }: Interest): string {
  return `${type.group}/${type.version}/${type.resource}/${namespace}/${isWhole}`;
}

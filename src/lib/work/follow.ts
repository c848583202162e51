/** Follows the objects of one type: a list, then a watch, again and again, whatever happens in between. */

import { backoffMs } from "../backoff.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ObjectList, ResourceType } from "./kube_api.ts";
import { metadataOf, textOf } from "./work.ts";

/** Who hears about the objects. The calls come in order; none of them may throw. */
export interface Follower {
  /** All objects there are; what is not in the list is gone. */
  listed(list: ObjectList): void;
  changed(object: JsonObject): void;
  /** The object as it was last, with the version at which it went. */
  deleted(object: JsonObject): void;
  /** Lists and watches are forbidden: read what matters one by one. */
  poll(): Promise<void>;
}

export interface FollowOptions {
  metadataOnly: boolean;
  /** The pause between polls where watching is forbidden. */
  pollMs: number;
  log: Logger;
}

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 30_000 };

/** Starts following; disposing ends it. */
export function followType(
  kube: Kube,
  type: ResourceType,
  namespace: string,
  follower: Follower,
  { metadataOnly, pollMs, log }: FollowOptions,
): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const fields = { resource: type.resource, group: type.group, namespace };
  let failures = 0;

  const listAndWatch = async () => {
    const list = await kube.list(type, namespace, { metadataOnly });
    if (signal.aborted) return;
    follower.listed(list);
    failures = 0;
    let { resourceVersion } = list;
    while (!signal.aborted) {
      const options = { metadataOnly, resourceVersion, signal };
      for await (const event of kube.watch(type, namespace, options)) {
        if (signal.aborted) return;
        resourceVersion = textOf(metadataOf(event.object), "resourceVersion");
        if (event.type === "DELETED") follower.deleted(event.object);
        else if (event.type !== "BOOKMARK") follower.changed(event.object);
      }
    }
  };

  const recover = async (error: unknown) => {
    const status = error instanceof KubeError ? error.status : 0;
    if (status === 410) return;
    // The type itself is gone, and its objects with it.
    if (error instanceof KubeError && error.reason === "PathNotFound") {
      follower.listed({ items: [], resourceVersion: "" });
    }
    if (status === 403 || status === 405) {
      if (failures++ === 0) log.warn("watching is forbidden, polling", { ...fields, error });
      await follower.poll();
      await pause(pollMs, signal);
      return;
    }
    const delayMs = backoffMs(failures++, BACKOFF, Math.random());
    log.debug("watch failed, trying again", { ...fields, delay_ms: delayMs, error });
    await pause(delayMs, signal);
  };

  const loop = async () => {
    while (!signal.aborted) {
      try {
        await listAndWatch();
      } catch (error) {
        if (signal.aborted) return;
        await recover(error);
      }
    }
  };

  const finished = loop();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

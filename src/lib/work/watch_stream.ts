/** One stream of a scope: what it tells of wanted objects is passed on, all else is forgotten at once. */

import type { JsonObject } from "../json.ts";
import { type FollowOptions, followScope, type Scope } from "./follow.ts";
import type { Kube } from "./kube_api.ts";
import type { Wanted, Wants } from "./wants.ts";
import { metadataOf, textOf } from "./work.ts";

/** What was seen of an object, and at which version of its type. */
export interface Sighting {
  /** Undefined: it is not there. */
  object: JsonObject | undefined;
  /** Empty if it is not known. */
  resourceVersion: string;
  /** Only its metadata was seen. */
  isPartial: boolean;
}

/** Who hears of what a stream finds. */
export interface StreamTold {
  seen(wanted: Wanted, sighting: Sighting): void;
  /** All objects that there are were told, wanted and others. */
  completed(stream: WatchStream, objects: number): void;
  /** Watching is forbidden: what is wanted is to be read by itself. */
  forbidden(stream: WatchStream): Promise<void>;
}

export interface WatchStream extends AsyncDisposable {
  readonly scope: Scope;
  /** It has told everything there is, or never will since watching is forbidden. */
  readonly isReady: boolean;
  /** It is telling everything there is. */
  readonly isTelling: boolean;
  /** Tells everything anew. */
  startOver(): void;
}

/** Opens a stream; disposing ends it. */
export function openStream(
  kube: Kube,
  wants: Wants,
  scope: Scope,
  told: StreamTold,
  options: FollowOptions,
): WatchStream {
  const { type, namespace, name, metadataOnly } = scope;
  let missing = new Set<Wanted>();
  let objects = 0;
  let isReady = false;
  let isTelling = true;

  const wantedOf = (object: JsonObject) => {
    const metadata = metadataOf(object);
    return wants.get(type, textOf(metadata, "namespace"), textOf(metadata, "name"));
  };
  const tell = (wanted: Wanted | undefined, seen: JsonObject, object: JsonObject | undefined) => {
    if (wanted === undefined) return;
    const resourceVersion = textOf(metadataOf(seen), "resourceVersion");
    told.seen(wanted, { object, resourceVersion, isPartial: object !== undefined && metadataOnly });
  };

  const followed = followScope(kube, scope, {
    begin() {
      // Only these: of what is wanted later, an earlier page may have told already.
      missing = new Set(wants.within(type, namespace, name));
      objects = 0;
      isTelling = true;
    },
    changed(object) {
      objects++;
      const wanted = wantedOf(object);
      if (wanted !== undefined) missing.delete(wanted);
      tell(wanted, object, object);
    },
    deleted(object) {
      tell(wantedOf(object), object, undefined);
    },
    complete(resourceVersion) {
      for (const wanted of missing) {
        const { ref } = wanted;
        if (wants.get(type, ref.namespace, ref.name) !== wanted) continue;
        told.seen(wanted, { object: undefined, resourceVersion, isPartial: false });
      }
      missing.clear();
      isReady = true;
      isTelling = false;
      told.completed(stream, objects);
    },
    async poll() {
      await told.forbidden(stream);
      isReady = true;
    },
  }, options);
  const stream: WatchStream = {
    scope,
    get isReady() {
      return isReady;
    },
    get isTelling() {
      return isTelling;
    },
    startOver: () => followed.startOver(),
    [Symbol.asyncDispose]: () => Promise.resolve(followed[Symbol.asyncDispose]()),
  };
  return stream;
}

/** Wakes works when what their manifests wait for comes: a namespace, or the definition of a kind. */

import { guessResource } from "../wire/work_spec.ts";
import type { Kube, ResourceType } from "./kube_api.ts";
import { type Wait, waitKey } from "./waits.ts";
import type { Interest } from "./wants.ts";
import { startWatches, type WatchesOptions } from "./watches.ts";

/** What is waited for is watched by name, and never by many streams. */
const LIMITS = { streamsMax: 8, namesMax: 4 };
/** A definition is served a moment after it is there, and discovery is asked at most every two seconds. */
const SERVED_WITHIN_MS = 15_000;
const SERVED_POLL_MS = 500;

const NAMESPACES: ResourceType = {
  group: "",
  version: "v1",
  kind: "Namespace",
  resource: "namespaces",
  isNamespaced: false,
};
const DEFINITIONS: ResourceType = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  resource: "customresourcedefinitions",
  isNamespaced: false,
};

export interface Alarms extends AsyncDisposable {
  /** Replaces what a work waits for, after each attempt. */
  set(uid: string, waits: readonly Wait[]): void;
}

/** Starts without an alarm; `wake` is told of works whose next attempt is worth making, and after which time. */
export function startAlarms(
  kube: Kube,
  wake: (uid: string, delayMs: number) => void,
  { pollMs, log }: Pick<WatchesOptions, "pollMs" | "log">,
): Alarms {
  const definedAt = new Map<string, number>();
  const watches = startWatches(kube, (uid, { type }, { object }) => {
    if (object === undefined) return;
    if (type === DEFINITIONS) definedAt.set(uid, performance.now());
    wake(uid, type === DEFINITIONS ? SERVED_POLL_MS : 0);
  }, { pollMs, log, limits: LIMITS });

  return {
    set(uid, waits) {
      watches.want(
        uid,
        [...new Map(waits.map((wait) => [waitKey(wait), wait])).values()].map(place),
      );
      const isDefined = performance.now() - (definedAt.get(uid) ?? -Infinity) < SERVED_WITHIN_MS;
      if (isDefined && waits.some((wait) => "crd" in wait)) wake(uid, SERVED_POLL_MS);
      else definedAt.delete(uid);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(watches[Symbol.asyncDispose]()),
  };
}

function place(wait: Wait): Interest {
  const [type, name] = "namespace" in wait
    ? [NAMESPACES, wait.namespace]
    // A definition with a plural that nobody would guess is found by the backoff.
    : [DEFINITIONS, `${guessResource(wait.crd.kind)}.${wait.crd.group}`];
  return { ref: { type, namespace: "", name }, isWhole: false };
}

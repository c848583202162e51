/** The watches of one type in a simulated cluster. */

import { isObject, type JsonObject, parseJson } from "../json.ts";
import { KubeError, type WatchEvent, type WatchOptions } from "../work/kube_api.ts";
import { matcherOf, type Matches } from "./selectors.ts";
import { metadataOf } from "./simulated_object.ts";

/** What a watcher that does not read may leave lying; beyond that it has to list again. */
const WAITING_MAX = 10_000;

interface Notice {
  type: WatchEvent["type"];
  /** The object as JSON: it is the stored text itself, and becomes an object only for who reads it. */
  text: string;
}

/** One watch under way. */
export interface Watcher {
  /** Tells of a change; `before` or `after` is missing where there was or is no object. */
  tell(text: string, before: JsonObject | undefined, after: JsonObject | undefined): void;
}

/** A watcher and the events that it yields until the signal aborts. */
export function startWatcher(
  namespace: string,
  options: WatchOptions,
): { watcher: Watcher; events(): AsyncGenerator<WatchEvent> } {
  const matches = inNamespace(namespace, matcherOf(options));
  let waiting: Notice[] = [];
  let isOverrun = false;
  let wake = () => {};
  const watcher: Watcher = {
    tell(text, before, after) {
      const was = before !== undefined && matches(before);
      const is = after !== undefined && matches(after);
      if (!was && !is) return;
      isOverrun ||= waiting.length === WAITING_MAX;
      if (!isOverrun) waiting.push({ type: is ? was ? "MODIFIED" : "ADDED" : "DELETED", text });
      wake();
    },
  };
  async function* events(): AsyncGenerator<WatchEvent> {
    const end = () => wake();
    options.signal.addEventListener("abort", end);
    try {
      while (!options.signal.aborted) {
        const batch = waiting;
        waiting = [];
        for (const { type, text } of batch) {
          yield { type, object: presented(parseJson(text) as JsonObject, options) };
          if (options.signal.aborted) return;
        }
        if (isOverrun) throw tooOld();
        if (waiting.length === 0) await new Promise<void>((resolve) => wake = resolve);
      }
    } finally {
      options.signal.removeEventListener("abort", end);
    }
  }
  return { watcher, events };
}

/** An object as a list or a watch shows it: whole, or its metadata only. */
export function presented(object: JsonObject, options: { metadataOnly?: boolean }): JsonObject {
  if (!options.metadataOnly) return object;
  return {
    kind: "PartialObjectMetadata",
    apiVersion: "meta.k8s.io/v1",
    metadata: metadataOf(object),
  };
}

/** The condition of a selector, and that the object is in the namespace; the empty one is all of them. */
export function inNamespace(namespace: string, matches: Matches): Matches {
  if (namespace === "") return matches;
  return (object) =>
    isObject(object["metadata"]) && object["metadata"]["namespace"] === namespace &&
    matches(object);
}

/** The error after which a watcher lists again. */
export function tooOld(): KubeError {
  return new KubeError(410, "Expired", "The resourceVersion for the provided watch is too old.");
}

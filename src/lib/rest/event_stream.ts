/** A watcher's queue as the body of an answer. */

import { canonicalJson } from "../json.ts";
import { presentBundle } from "./present_bundle.ts";
import type { Presentation } from "./watch_event.ts";
import type { WatchFormat } from "./watch_format.ts";
import type { WatchQueue } from "./watch_queue.ts";

/** What leaves at once. */
const CHUNK_BYTES = 64 * 1024;

const encoder = new TextEncoder();

/** Makes how bundles are shown here: as `GET` presents them, JSON in one line. */
export function createTextPresentation(): Presentation<string> {
  return {
    memory: new WeakMap(),
    bundle: (row, options) => canonicalJson(presentBundle(row, options)),
    farewell({ consumer_name, id }) {
      const href = `/api/maestro/v1/resource-bundles/${id}`;
      return canonicalJson({ consumer_name, href, id, kind: "ResourceBundle" });
    },
    bytes: (text) => text.length,
  };
}

/** The stream of a queue. `alive` is called whenever the watcher is seen to read. */
export function toEventStream(
  queue: WatchQueue<string>,
  format: WatchFormat,
  { operationId, alive }: { operationId: string; alive: () => void },
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      alive();
      const taken = await queue.take(CHUNK_BYTES);
      if (taken === undefined) return;
      const text = "events" in taken
        ? taken.events.map(format.event).join("")
        : format.end(taken.end, operationId);
      controller.enqueue(encoder.encode(text));
      if ("end" in taken) controller.close();
    },
    cancel: () => queue.close(),
  }, { highWaterMark: 0 });
}

/** Server-sent events: a watcher's queue as the body of an answer. */

import { canonicalJson } from "../json.ts";
import { explainError, presentError } from "./errors.ts";
import { presentBundle } from "./present_bundle.ts";
import type { Presentation } from "./watch_event.ts";
import type { Told, WatchEnd, WatchQueue } from "./watch_queue.ts";

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
  { operationId, alive }: { operationId: string; alive: () => void },
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      alive();
      const taken = await queue.take(CHUNK_BYTES);
      if (taken === undefined) return;
      const text = "events" in taken
        ? taken.events.map(format).join("")
        : formatEnd(taken.end, operationId);
      controller.enqueue(encoder.encode(text));
      if ("end" in taken) controller.close();
    },
    cancel: () => queue.close(),
  }, { highWaterMark: 0 });
}

function format({ type, shown = "{}", cursor }: Told<string>): string {
  return `${cursor === undefined ? "" : `id: ${cursor}\n`}event: ${type}\ndata: ${shown}\n\n`;
}

function formatEnd({ error, cursor }: WatchEnd, operationId: string): string {
  const { status, number, reason } = explainError(error);
  const told = { ...presentError(number, reason, operationId), status, cursor };
  return `event: error\ndata: ${JSON.stringify(told)}\n\n`;
}

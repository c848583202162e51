/** Reads the events of a watch, which come as JSON, a line each, until the server ends it. */

import { isObject, type JsonObject, parseJson } from "../json.ts";
import { KubeError, type WatchEvent } from "../work/kube_api.ts";
import { refusalInWatch, unreachable } from "./refusal.ts";

/** No object is larger, whatever the server's limit: what comes without a line feed is not a watch. */
const LINE_LENGTH_MAX = 64 * 1024 * 1024;

const EVENT_TYPES: readonly string[] = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"];

/**
 * Reads events from the body of an answer; `server` is for the errors.
 *
 * Ends with the stream. Throws a `KubeError` when the server reports one, as it does when a version is too
 * old, and when the stream breaks.
 */
export async function* readWatch(
  body: ReadableStream<Uint8Array>,
  server: string,
): AsyncGenerator<WatchEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const lose = (thrown: unknown): never => {
    throw unreachable(server, thrown);
  };
  // A large object comes in many pieces: they are put together once, not piece by piece.
  let pieces: string[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(lose);
      if (done) break;
      const lines = decoder.decode(value, { stream: true }).split("\n");
      const rest = lines.pop() ?? "";
      for (const line of lines) {
        const whole = pieces.length === 0 ? line : pieces.join("") + line;
        pieces = [];
        length = 0;
        if (whole.trim() !== "") yield parseEvent(whole);
      }
      if (rest === "") continue;
      pieces.push(rest);
      length += rest.length;
      if (length > LINE_LENGTH_MAX) throw broken("an event is longer than 64 MiB");
    }
    if (length > 0) throw broken("it ended in the middle of an event");
  } finally {
    // Not awaited where it could hang: a body that is broken has nothing more to cancel.
    reader.cancel().catch(() => {});
  }
}

function parseEvent(line: string): WatchEvent {
  let event: unknown;
  try {
    event = parseJson(line);
  } catch (cause) {
    throw broken("an event is not JSON", cause);
  }
  if (!isObject(event) || !isObject(event["object"])) throw broken("an event has no object");
  const { type, object } = event as { type: string; object: JsonObject };
  if (type === "ERROR") throw refusalInWatch(object);
  if (!EVENT_TYPES.includes(type)) throw broken(`an event has the type "${type}"`);
  return { type: type as WatchEvent["type"], object };
}

function broken(state: string, cause?: unknown): KubeError {
  return new KubeError(0, "InvalidAnswer", `Cannot read a watch of Kubernetes: ${state}`, {
    cause,
  });
}

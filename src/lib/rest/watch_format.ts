/** How the events of a watch are written: as server-sent events, or as lines of JSON like those of kubectl. */

import { explainError, presentError } from "./errors.ts";
import type { Told, WatchEnd } from "./watch_queue.ts";

/** One way of writing; bundles are JSON in one line already. */
export interface WatchFormat {
  event(told: Told<string>): string;
  end(end: WatchEnd, operationId: string): string;
}

/** The media types of a watch. The first is for those who do not mind. */
export const WATCH_TYPES = [
  "text/event-stream",
  "application/x-ndjson",
  "application/json",
] as const;

const EVENT_STREAM: WatchFormat = {
  event: ({ type, shown = "{}", cursor }) =>
    `${cursor === undefined ? "" : `id: ${cursor}\n`}event: ${type}\ndata: ${shown}\n\n`,
  end: ({ error, cursor }, operationId) =>
    `event: error\ndata: ${JSON.stringify({ ...explain(error, operationId), cursor })}\n\n`,
};

/** `{"type":"ADDED","object":{…}}`, as the API of Kubernetes writes it, with our cursor beside it. */
const LINES: WatchFormat = {
  event({ type, shown, cursor }) {
    const members = [`"type":"${type.toUpperCase()}"`];
    if (cursor !== undefined) members.push(`"cursor":${JSON.stringify(cursor)}`);
    if (shown !== undefined) members.push(`"object":${shown}`);
    return `{${members.join(",")}}\n`;
  },
  end: ({ error, cursor }, operationId) =>
    `${JSON.stringify({ type: "ERROR", cursor, object: explain(error, operationId) })}\n`,
};

/** By the type that the client has chosen. */
export const WATCH_FORMATS: Record<(typeof WATCH_TYPES)[number], WatchFormat> = {
  "text/event-stream": EVENT_STREAM,
  "application/x-ndjson": LINES,
  "application/json": LINES,
};

function explain(error: unknown, operationId: string): Record<string, unknown> {
  const { status, number, reason } = explainError(error);
  return { ...presentError(number, reason, operationId), status };
}

/** A REST door that can be watched, beside the gRPC doors, and a reader of server-sent events. */

import type { Authenticate } from "../../src/lib/access/caller.ts";
import { statusOf } from "../../src/lib/grpc/errors.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { serveRest } from "../../src/lib/rest/serve.ts";
import { createWatchers, type Watchers, type WatchOptions } from "../../src/lib/rest/watch.ts";
import { createSpecDoor } from "../../src/lib/spec/door.ts";
import { type Doors, type DoorsOptions, openDoors } from "./doors.ts";
import { eventually } from "./eventually.ts";
import { testLogger } from "./postgres.ts";

export interface WatchDoors extends Doors {
  /** The address of the REST port, and that of the bundles. */
  rest: string;
  bundles: string;
  port: number;
  watchers: Watchers;
}

/** One server with all its doors. */
export async function openWatchDoors(
  options:
    & DoorsOptions
    & Partial<WatchOptions>
    & { authenticate?: Authenticate; requestTimeoutMs?: number } = {},
): Promise<WatchDoors> {
  await using stack = new AsyncDisposableStack();
  const doors = stack.use(await openDoors(options));
  const { db, flows } = doors;
  const log = options.log ?? testLogger();
  const watchers = createWatchers(db, log, { watchersMax: 20, ...options, feed: flows.feed });
  const app = createRestApp({
    ...{ db, log, watchers, metrics: createMetrics() },
    ...(options.authenticate && { authenticate: options.authenticate }),
    ...(options.requestTimeoutMs && { requestTimeoutMs: options.requestTimeoutMs }),
    cloudEvents: { ...flows.sources.methods, statusOf },
    spec: createSpecDoor(db, flows.acceptor, log),
  });
  const rest = stack.use(serveRest(app, { hostname: "127.0.0.1", port: 0 }));
  stack.defer(() => watchers.close());
  const owned = stack.move();
  return {
    ...doors,
    watchers,
    port: rest.port,
    rest: `http://127.0.0.1:${rest.port}`,
    bundles: `http://127.0.0.1:${rest.port}/api/maestro/v1/resource-bundles`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export interface ServerSentEvent {
  id: string | undefined;
  event: string;
  // deno-lint-ignore no-explicit-any
  data: any;
}

export interface Watch extends AsyncDisposable {
  status: number;
  /** All, in order. */
  events: ServerSentEvent[];
  /** Those of one bundle, as `type version`. */
  told(id: string): string[];
  /** The last cursor. */
  cursor(): string;
  /** Resolves with the first event that passes. */
  waitFor(passes: (event: ServerSentEvent) => boolean): Promise<ServerSentEvent>;
  /** Resolves when the server has ended the stream. */
  ended: Promise<void>;
}

/** Watches. Without a cursor it resolves when everything that is there has been told. */
export async function watch(
  bundles: string,
  { search, cursor }: { search?: string; cursor?: string } = {},
): Promise<Watch> {
  const aborter = new AbortController();
  const query = new URLSearchParams({ watch: "true", ...(search !== undefined && { search }) });
  const response = await fetch(`${bundles}?${query}`, {
    signal: aborter.signal,
    headers: cursor === undefined ? {} : { "Last-Event-ID": cursor },
  });
  const events: ServerSentEvent[] = [];
  const ended = read(response, events).catch(() => {});
  const waitFor: Watch["waitFor"] = async (passes) =>
    await eventually(() => events.find(passes)) as ServerSentEvent;
  if (response.status === 200) await waitFor(({ event }) => event === "bookmark");
  return {
    status: response.status,
    events,
    told: (id) =>
      events.filter(({ data }) => data.id === id)
        .map(({ event, data }) => `${event} ${data.version}`)
        // What was stored as somebody began to watch is in the list and may come as a change as well.
        .filter((text, at, all) => !text.startsWith("added ") || text !== all[at - 1]),
    cursor: () => events.findLast(({ id }) => id !== undefined)?.id ?? "",
    waitFor,
    ended,
    async [Symbol.asyncDispose]() {
      aborter.abort();
      await ended;
    },
  };
}

async function read(response: Response, events: ServerSentEvent[]): Promise<void> {
  let text = "";
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)] as const;
        }),
      );
      events.push({
        id: fields.get("id"),
        event: fields.get("event") ?? "",
        data: JSON.parse(fields.get("data") ?? "null"),
      });
    }
  }
}

/** Watching bundles: what is there now, then every change, as server-sent events (docs/watching.md). */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { find } from "../db/find.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { RESOURCES } from "../search/listed.ts";
import type { Condition } from "../search/tree.ts";
import type { Feed } from "../status/feed.ts";
import { type Follower, startFollowing } from "../status/follow.ts";
import { explainError, presentError } from "./errors.ts";
import { createEventStream, type EventStream } from "./event_stream.ts";
import { toListedEvent, toWatchEvent } from "./watch_event.ts";

export interface WatchOptions {
  feed: Feed;
  /** Watchers at once. */
  watchersMax: number;
  /** Time between bookmarks. */
  heartbeatMs?: number;
  /** Events that may wait for a watcher. */
  waitingMax?: number;
}

export interface WatchRequest {
  condition: Condition;
  /** Where to go on; without one the watcher is told first what is there. */
  cursor: string | undefined;
  operationId: string;
  /** Called whenever the watcher is seen to read. */
  alive: () => void;
}

export interface Watchers {
  /** Opens a stream. Throws if the cursor is no good, or if there are too many watchers. */
  open(request: WatchRequest): Promise<ReadableStream<Uint8Array>>;
  /** Ends all of them, and lets in no more. */
  close(): void;
}

const HEARTBEAT_MS = 15_000;
const WAITING_MAX = 2_000;
/** A page of the feed has up to 8 MB, and one of a list some 100 bundles. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;
/** With no more than this waiting there is room for a page. */
const LITTLE = { events: 100, bytes: 1024 * 1024 };
const NOTHING = { events: 0, bytes: 0 };
const LIST_PAGE = 100;

/** Makes the watchers of a server. */
export function createWatchers(db: Db, log: Logger, options: WatchOptions): Watchers {
  const streams = new Set<EventStream>();
  let opening = 0;
  let isClosed = false;

  const openStream = async (request: WatchRequest) => {
    const { cursor, condition, operationId, alive } = request;
    const explain = (error: unknown) => {
      const { status, number, reason } = explainError(error);
      return { ...presentError(number, reason, operationId), status };
    };
    const parts: { stream?: EventStream } = {};
    const follower = createFollower(condition, () => parts.stream, explain);
    const { from, run } = await startFollowing(db, options.feed, follower, cursor);
    const stream = createEventStream(from, {
      waitingMax: options.waitingMax ?? WAITING_MAX,
      waitingBytesMax: WAITING_BYTES_MAX,
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      alive,
      ended: () => {
        options.feed.leave(follower);
        streams.delete(stream);
      },
    });
    parts.stream = stream;
    streams.add(stream);
    const watch = async () => {
      if (cursor === undefined && !await list(db, stream, condition)) return;
      stream.bookmark();
      if (cursor === undefined && !await stream.waitsFor(NOTHING)) return;
      await run();
    };
    watch().catch((error) => {
      log.warn("a watcher has to come back", { error, operation_id: operationId });
      stream.end(explain(error));
    });
    return stream;
  };

  return {
    async open(request) {
      if (isClosed) throw new MaestroError("unavailable", "the server is shutting down");
      if (streams.size + opening >= options.watchersMax) {
        const reason = `this server has ${options.watchersMax} watchers, and takes no more`;
        throw new MaestroError("resource_exhausted", reason);
      }
      opening++;
      const stream = await openStream(request).finally(() => opening--);
      if (isClosed) stream.end(goodbye());
      return stream.readable;
    },
    close() {
      isClosed = true;
      for (const stream of [...streams]) stream.end(goodbye());
    },
  };
}

function goodbye() {
  const { status, number, reason } = explainError(
    new MaestroError("unavailable", "the server is shutting down: watch again from the cursor"),
  );
  return { status, ...presentError(number, reason, "") };
}

function createFollower(
  condition: Condition,
  stream: () => EventStream | undefined,
  explain: (error: unknown) => Record<string, unknown>,
): Follower {
  return {
    sources: () => undefined,
    isGone: () => stream()?.isClosed ?? false,
    roomy: async () => await stream()?.waitsFor(LITTLE) ?? false,
    take(changes, next) {
      for (const change of changes) {
        const event = toWatchEvent(change, condition);
        if (event === undefined) continue;
        const { xid, id } = change;
        if (stream()?.push(event, { epoch: next.epoch, xid, id }) ?? false) continue;
        const reason = "too many events wait for this watcher: watch again from the cursor";
        return stream()?.end(explain(new MaestroError("resource_exhausted", reason)));
      }
      stream()?.move(next);
    },
    end: (error) => stream()?.end(explain(error)),
  };
}

/** Tells what is there. False: the watcher is gone. */
async function list(db: Db, stream: EventStream, condition: Condition): Promise<boolean> {
  const order = [{ column: "id" as const, isDescending: false }];
  const documents = { spec: true, status: true };
  const wanted = {
    ...{ listed: RESOURCES, condition, type: "Bundle" as const, order, documents },
    isUncounted: true,
  };
  for (let after = "";;) {
    const { found } = await find(db, { ...wanted, limit: LIST_PAGE, after: [after] });
    const ids = found.map(({ id }) => id);
    for (const row of await q.resourceReadListed(db, ids, documents.spec, documents.status)) {
      stream.push(toListedEvent(row));
    }
    if (!await stream.waitsFor(LITTLE)) return false;
    after = ids.at(-1) ?? "";
    if (ids.length < LIST_PAGE) return true;
  }
}

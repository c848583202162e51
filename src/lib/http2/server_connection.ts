/** The server's end of a connection: it takes the streams that a client begins. */

import { createBudget, spendOne } from "./budget.ts";
import {
  type ConnectionEvents,
  type ConnectionLimits,
  type Http2Connection,
  openConnection,
  type Transport,
} from "./connection.ts";
import { protocolError } from "./frame_rules.ts";
import { CODE, Http2Error, PREFACE, UINT31_MAX } from "./frames.ts";
import { createRequestReader } from "./request_reader.ts";
import type { Role, RoleParts } from "./role.ts";
import { settingsFrame } from "./settings.ts";
import { createStream, type Http2Stream } from "./stream.ts";

export interface ServerLimits extends ConnectionLimits {
  /** Streams that are open at once. */
  streamsMax: number;
  /** Time for the preface and the first settings, and to acknowledge ours. */
  greetingMs: number;
}

export interface ServerEvents extends ConnectionEvents {
  /** A request has begun; its body comes after the call. */
  stream(stream: Http2Stream): void;
}

/**
 * Resets are nearly free for a client, and the work that they end is not (CVE-2023-44487). All streams that are open may be
 * reset at once, as when the deadlines of many calls are over.
 */
const RESETS_PER_SECOND = 1_000;

/** Begins one: our settings are the first that is said. `own` says what its owner wants to hear. */
export function openServerConnection(
  transport: Transport,
  limits: ServerLimits,
  own: (connection: Http2Connection) => ServerEvents,
): Http2Connection {
  let events: ServerEvents | undefined;
  const makeRole = (parts: RoleParts) =>
    createServerRole(parts, limits, (stream) => events?.stream(stream));
  const { connection } = openConnection(transport, limits, makeRole, (opened) => {
    events = own(opened);
    return events;
  });
  return connection;
}

function createServerRole(
  { sender, room, streams, streamEnded, fail }: RoleParts,
  limits: ServerLimits,
  begun: (stream: Http2Stream) => void,
): Role {
  const { streamsMax, windowBytes, greetingMs } = limits;
  const resets = createBudget({ atOnce: streamsMax, perSecond: RESETS_PER_SECOND });
  const requests = createRequestReader(limits.headerBytesMax);
  let servedMax = UINT31_MAX;
  const greeting = setTimeout(
    () => fail(new Http2Error(CODE.settingsTimeout, "the settings were not acknowledged in time")),
    greetingMs,
  );

  const begin = (streamId: number, block: Buffer, isEnd: boolean) => {
    streams.lastBegun = streamId;
    const headers = requests.read(block, streamId);
    if (streamId > servedMax) return;
    if (streams.byId.size >= streamsMax) {
      throw new Http2Error(CODE.refusedStream, "too many streams", streamId);
    }
    const closed = () => {
      streams.byId.delete(streamId);
      streamEnded();
    };
    const stream = createStream({ id: streamId, headers, sender, windowBytes, room, closed });
    streams.byId.set(streamId, stream);
    begun(stream);
    if (isEnd) stream.peerEnded();
  };

  return {
    isClient: false,
    preface: PREFACE,
    greeting: [settingsFrame(limits, { isClient: false })],
    takeHeaders(streamId, block, isEnd) {
      if (streamId % 2 === 0) throw protocolError(`a client does not open stream ${streamId}`);
      if (streamId > streams.lastBegun) return begin(streamId, block, isEnd);
      // Trailers, of which gRPC has none in requests. Read all the same, as the next block depends on them.
      requests.skip(block);
      const open = streams.byId.get(streamId);
      if (open === undefined) return;
      if (!isEnd) throw new Http2Error(CODE.protocolError, "headers within a body", streamId);
      open.peerEnded();
    },
    takeReset: () => spendOne(resets, "too many streams are reset"),
    takeSettings() {},
    settingsTaken: () => clearTimeout(greeting),
    // What the client has begun it still wants answered, and then closes by itself.
    takeGoaway() {},
    seal() {
      servedMax = streams.lastBegun;
    },
    closed: () => clearTimeout(greeting),
  };
}

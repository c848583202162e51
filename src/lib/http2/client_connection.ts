/** The client's end of a connection: it begins streams, as many at once as the server takes. */

import {
  type ConnectionEvents,
  type ConnectionLimits,
  type Http2Connection,
  openConnection,
  type Transport,
} from "./connection.ts";
import { readAnswer, readTrailers } from "./fields.ts";
import { protocolError } from "./frame_rules.ts";
import { CODE, Http2Error, PREFACE, UINT31_MAX } from "./frames.ts";
import { createBlockDecoder } from "./hpack.ts";
import type { Role, RoleParts } from "./role.ts";
import { settingsFrame } from "./settings.ts";
import { createStream, type Http2Stream, type OpenStream } from "./stream.ts";

export interface ClientConnection extends Http2Connection {
  /** What the server takes of headers, by the count of §6.5.2; `Infinity` until it says so, which it need not. */
  headerBytesMax(): number;
  /** Begins a request with these headers, now or when the server takes one more. Undefined: no other begins on this connection. */
  request(block: Buffer): Http2Stream | undefined;
}

export interface ClientEvents extends ConnectionEvents {
  /** The server has said its settings: it speaks HTTP/2. */
  ready(): void;
  /** The server wants its clients to go, with a code and words. Streams that it does not know are refused, the others go on. */
  sentAway(code: number, words: string): void;
}

/** Requests that wait for their turn. */
const WAITING_MAX = 10_000;

type ClientRole = Role & Pick<ClientConnection, "headerBytesMax" | "request">;

/** Begins one: our preface and our settings are the first that is said. */
export function openClientConnection(
  transport: Transport,
  limits: ConnectionLimits,
  events: ClientEvents,
): ClientConnection {
  const { connection, role } = openConnection(
    transport,
    limits,
    (parts) => createClientRole(parts, limits, events),
    () => events,
  );
  const { headerBytesMax, request } = role;
  return Object.assign(connection, { headerBytesMax, request });
}

function createClientRole(
  { sender, streams, spendIdle, streamEnded }: RoleParts,
  limits: ConnectionLimits,
  events: ClientEvents,
): ClientRole {
  const { windowBytes } = limits;
  const decode = createBlockDecoder();
  let streamsMax = Infinity;
  let headerBytesMax = Infinity;
  let isReady = false;
  let isSealed = false;

  const begin = (stream: OpenStream) => {
    const id = streams.lastBegun === 0 ? 1 : streams.lastBegun + 2;
    streams.lastBegun = id;
    streams.waiting.delete(stream);
    streams.byId.set(id, stream);
    stream.begin(id);
  };
  const beginThoseThatMay = () => {
    for (const stream of streams.waiting) {
      if (streams.byId.size >= streamsMax) break;
      begin(stream);
    }
  };
  const takeAnswer = (stream: OpenStream, block: Buffer, isEnd: boolean) => {
    const streamId = stream.id;
    const rules = { streamId, headerBytesMax: limits.headerBytesMax };
    if (stream.hasHead) {
      const trailers = readTrailers(decode, block, rules);
      // Without this whoever waits for the end would wait for ever.
      if (!isEnd) throw new Http2Error(CODE.protocolError, "headers within a body", streamId);
      return stream.peerEnded(trailers);
    }
    const head = readAnswer(decode, block, rules);
    if (head.get(":status")?.startsWith("1")) {
      // It only informs, and the answer follows (§8.1).
      if (isEnd) throw new Http2Error(CODE.protocolError, "an answer ends too early", streamId);
      return spendIdle();
    }
    stream.takeHead(head, isEnd);
    if (isEnd) stream.peerEnded();
  };

  return {
    isClient: true,
    preface: undefined,
    greeting: [PREFACE, settingsFrame(limits, { isClient: true })],
    headerBytesMax: () => headerBytesMax,
    request(block) {
      if (isSealed || streams.waiting.size >= WAITING_MAX) return undefined;
      if (streams.lastBegun + 2 * streams.waiting.size >= UINT31_MAX) {
        // It has had all its ids.
        isSealed = true;
        events.sentAway(CODE.noError, "");
        return undefined;
      }
      const closed = () => {
        streams.waiting.delete(stream);
        streams.byId.delete(stream.id);
        beginThoseThatMay();
        streamEnded();
      };
      const stream = createStream({ id: 0, sender, windowBytes, closed });
      streams.waiting.add(stream);
      stream.start(block);
      beginThoseThatMay();
      return stream;
    },
    takeHeaders(streamId, block, isEnd) {
      if (streamId % 2 === 0) throw protocolError(`the server opens stream ${streamId}`);
      const stream = streams.get(streamId);
      if (stream !== undefined) return takeAnswer(stream, block, isEnd);
      // Of a stream that is over; read all the same, as the next block depends on it.
      decode(block, () => {});
    },
    takeReset() {},
    takeSettings(settings) {
      streamsMax = settings.streamsMax ?? streamsMax;
      headerBytesMax = settings.headerBytesMax ?? headerBytesMax;
      beginThoseThatMay();
      if (isReady) return;
      isReady = true;
      events.ready();
    },
    settingsTaken() {},
    takeGoaway({ lastId, code, words }) {
      isSealed = true;
      events.sentAway(code, words);
      const refused = [...streams.byId.values()].filter(({ id }) => id > lastId);
      for (const stream of [...streams.waiting, ...refused]) {
        stream.close({ resetCode: CODE.refusedStream });
      }
    },
    seal() {
      isSealed = true;
    },
    closed() {
      isSealed = true;
      streamsMax = 0;
    },
  };
}

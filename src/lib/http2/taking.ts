/** What one end of a connection hears: what each frame of the peer means, and what is wrong with it. */

import { checkFrame, protocolError } from "./frame_rules.ts";
import {
  CODE,
  FLAG,
  FRAME,
  frame,
  Http2Error,
  readGoaway,
  type TakeFrame,
  UINT31_MAX,
  withoutPadding,
} from "./frames.ts";
import { createBlockAssembly } from "./header_blocks.ts";
import type { OpenStreams } from "./open_streams.ts";
import type { PingLog } from "./ping_log.ts";
import type { Role } from "./role.ts";
import type { Room } from "./room.ts";
import type { Sender } from "./sending.ts";
import { readSettings } from "./settings.ts";

export interface TakerParts {
  role: Role;
  sender: Sender;
  room: Room;
  streams: OpenStreams;
  pings: PingLog;
  headerBytesMax: number;
  /** A frame that carries nothing has come: there may be so many. */
  spendIdle(): void;
  pinged(): void;
  isClosed(): boolean;
}

/** Makes what takes the frames of a peer. Throws `Http2Error` for a fault that ends the connection. */
export function createTaker(
  { role, sender, room, streams, pings, headerBytesMax, spendIdle, pinged, isClosed }: TakerParts,
): TakeFrame {
  const blocks = createBlockAssembly(role.takeHeaders, headerBytesMax);
  let hasSettings = false;

  const takeBody = (flags: number, streamId: number, body: Buffer) => {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (body.length === 0 && !isEnd) spendIdle();
    if (!room.spend(body.length)) {
      throw new Http2Error(CODE.flowControlError, "a body is larger than the connection's window");
    }
    const content = withoutPadding(flags, body);
    const stream = streams.get(streamId);
    // A client's streams do not hold each other up: each has its own window, and there are only those that it has begun.
    if (stream === undefined || role.isClient) room.free(body.length);
    if (stream === undefined) return;
    stream.receive(body.length, content);
    if (isEnd) stream.peerEnded();
  };
  const takeSettings = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) return role.settingsTaken();
    spendIdle();
    hasSettings = true;
    const settings = readSettings(body, role);
    sender.control(frame(FRAME.settings, FLAG.ack, 0));
    const { initialWindow, headerTableBytes } = settings;
    if (initialWindow !== undefined) sender.resize(initialWindow, streams.flows());
    if (headerTableBytes !== undefined) sender.tableChanged(headerTableBytes);
    role.takeSettings(settings);
  };
  const takePing = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) return pings.answered(body);
    spendIdle();
    sender.control(frame(FRAME.ping, FLAG.ack, 0, body));
    pinged();
  };
  const takeReset = (streamId: number, body: Buffer) => {
    const stream = streams.get(streamId);
    if (stream === undefined) return;
    role.takeReset();
    stream.close({ resetCode: body.readUInt32BE(0) });
  };
  const takeWindow = (streamId: number, body: Buffer) => {
    const increment = body.readUInt32BE(0) & UINT31_MAX;
    const stream = streamId === 0 ? undefined : streams.get(streamId);
    if (increment === 0) {
      throw new Http2Error(CODE.protocolError, "a window grows by nothing", streamId);
    }
    if (streamId === 0 || stream !== undefined) sender.widen(stream?.flow, increment);
  };
  const route = (type: number, flags: number, streamId: number, body: Buffer) => {
    if (blocks.isOpen !== (type === FRAME.continuation)) {
      throw protocolError("the frames of a header block belong together");
    }
    if (!hasSettings && type !== FRAME.settings) throw protocolError("settings come first");
    checkFrame(type, flags, streamId, body);
    switch (type) {
      case FRAME.data:
        return takeBody(flags, streamId, body);
      case FRAME.headers:
        return blocks.begin(flags, streamId, body);
      case FRAME.continuation:
        return blocks.goOn(flags, streamId, body);
      case FRAME.rstStream:
        return takeReset(streamId, body);
      case FRAME.settings:
        return takeSettings(flags, body);
      case FRAME.ping:
        return takePing(flags, body);
      case FRAME.windowUpdate:
        return takeWindow(streamId, body);
      case FRAME.goaway:
        spendIdle();
        return role.takeGoaway(readGoaway(body));
      default:
        spendIdle();
    }
  };
  return (type, flags, streamId, body) => {
    if (isClosed()) return;
    try {
      route(type, flags, streamId, body);
    } catch (error) {
      if (!(error instanceof Http2Error) || error.streamId === 0) throw error;
      streams.refuse(error);
      spendIdle();
    }
  };
}

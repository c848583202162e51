/** The streams of a connection that are not over, and those that wait to begin. */

import { protocolError } from "./frame_rules.ts";
import { type Http2Error, rstStream } from "./frames.ts";
import type { Outflow, Sender } from "./sending.ts";
import type { OpenStream } from "./stream.ts";

export interface OpenStreams {
  /** The highest id of those that have begun. */
  lastBegun: number;
  readonly byId: Map<number, OpenStream>;
  /** Requests of ours without an id, in the order of their turns. */
  readonly waiting: Set<OpenStream>;
  readonly size: number;
  /** Undefined for one that is over: frames cross on the way. Throws for one that has not begun. */
  get(streamId: number): OpenStream | undefined;
  /** Resets one for a fault of it, whether it is open or not. */
  refuse(fault: Http2Error): void;
  flows(): Iterable<Outflow>;
  closeAll(): void;
}

/** Makes a connection's; there are none yet. */
export function createOpenStreams(sender: Sender): OpenStreams {
  const byId = new Map<number, OpenStream>();
  const waiting = new Set<OpenStream>();
  const streams: OpenStreams = {
    lastBegun: 0,
    byId,
    waiting,
    get size() {
      return byId.size + waiting.size;
    },
    get(streamId) {
      // Those of clients are odd, and a server has none.
      if (streamId <= streams.lastBegun && streamId % 2 === 1) return byId.get(streamId);
      throw protocolError(`stream ${streamId} has not begun`);
    },
    refuse(fault) {
      const open = byId.get(fault.streamId);
      if (open !== undefined) open.reset(fault.code, { fault });
      else sender.control(rstStream(fault.streamId, fault.code));
    },
    *flows() {
      for (const { flow } of byId.values()) yield flow;
      for (const { flow } of waiting) yield flow;
    },
    closeAll() {
      for (const stream of [...byId.values(), ...waiting]) stream.close();
    },
  };
  return streams;
}

/** Pings of ours that are not answered yet (RFC 9113 §6.7). */

import { FRAME, frame } from "./frames.ts";

export interface PingLog {
  /** Sends one; calls back when it is answered, or nobody is there any more. */
  ask(answered: () => void): void;
  /** An answer has come, perhaps to nothing that was asked. */
  answered(payload: Buffer): void;
  endAll(): void;
}

const PING_BYTES = 8;

/** Makes one that is empty; `say` sends a frame. */
export function createPingLog(say: (bytes: Buffer) => void): PingLog {
  const pings = new Map<string, () => void>();
  let count = 0;
  return {
    ask(answered) {
      const payload = Buffer.alloc(PING_BYTES);
      payload.writeUInt32BE(++count);
      pings.set(payload.toString("latin1"), answered);
      say(frame(FRAME.ping, 0, 0, payload));
    },
    answered(payload) {
      const key = payload.toString("latin1");
      const answered = pings.get(key);
      pings.delete(key);
      answered?.();
    },
    endAll() {
      for (const answered of pings.values()) answered();
      pings.clear();
    },
  };
}

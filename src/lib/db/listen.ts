/**
 * Hears notifications, on a connection of its own that shows now and then that it lives.
 *
 * Nothing is owed on a connection that only listens, so a half-open one would stay for ever, deaf. Listening anew costs
 * nothing and has an answer.
 */

import type { Logger } from "../log.ts";
import { startPump } from "../pump.ts";
import { connectBeside, type Db } from "./connect.ts";
import { runScript } from "./query.ts";

export interface Channel {
  heard: (text: string) => void;
  /** Called when listening has begun, also after a lost connection: whatever was missed is to be looked for. */
  caughtUp: () => void;
}

const PULSE_MS = 5_000;
const SILENT_MS_MAX = 3_000;
/** A notification that is missed meanwhile costs up to a second anyway. */
const RETRY_MS = 1_000;

/** Starts listening to these channels in the database of `db`, and keeps doing so until it is disposed. */
export function startListening(
  db: Db,
  channels: Record<string, Channel>,
  log: Logger,
): AsyncDisposable {
  let isConnected = false;
  const listener = connectBeside(db, {
    maxConnections: 1,
    applicationName: "maestro-listener",
    silentMsMax: SILENT_MS_MAX,
    heard: (name, text) => channels[name]?.heard(text),
    closed() {
      isConnected = false;
      pulse.wake();
    },
  });
  const script = Object.keys(channels).map((name) => `listen "${name}";`).join(" ");
  const pulse = startPump(async () => {
    const wasConnected = isConnected;
    isConnected = true;
    await runScript(listener, script);
    if (!wasConnected) { for (const { caughtUp } of Object.values(channels)) caughtUp(); }
  }, { name: "listener", intervalMs: PULSE_MS, retryMs: RETRY_MS, log });
  return {
    async [Symbol.asyncDispose]() {
      await pulse[Symbol.asyncDispose]();
      await listener.end({ timeout: 1 });
    },
  };
}

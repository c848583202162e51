/** Keeps a connection to a broker, for ever: connects, subscribes, connects again with a growing pause. */

import { backoffMs } from "../backoff.ts";
import { describeError, MaestroError } from "../errors.ts";
import { watchFiles } from "../fresh_files.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import type { MqttMessage, ReceivedMessage } from "../wire/mqtt.ts";
import type { MqttConfig } from "./config.ts";
import { describeReason, SESSION_TAKEN_OVER } from "./reasons.ts";
import { openSession, type Session } from "./session.ts";
import { GIVEN_UP } from "./socket.ts";
import type { Delivery } from "./window.ts";

export interface ClientOptions {
  clientId: string;
  subscriptions: readonly string[];
  /** How long the broker keeps messages for us while we are away. */
  sessionExpirySeconds: number;
  /** Nothing that the broker kept for an earlier process is of use. */
  cleanStart: boolean;
  /** The longest pause between two attempts to connect, in milliseconds. */
  pauseMaxMs: number;
  /** Messages that may wait here for their acknowledgement. */
  receiveMax: number;
  /** How often certificates are looked at. */
  tlsRefreshMs: number;
  receive: (topic: string, message: ReceivedMessage, acknowledge: () => void) => void;
  /** Before a connection is tried, on which messages may come before `connected` is called. */
  connecting: () => void;
  /** After each subscription. `isKept`: the broker has kept what was sent to us meanwhile. */
  connected: (connection: { isKept: boolean }) => void | Promise<void>;
  disconnected: (reason: string) => void;
  log: Logger;
}

export interface MqttClient extends AsyncDisposable {
  /** Publishes that the broker has not acknowledged yet; undefined without a connection. */
  readonly waiting: number | undefined;
  /** The largest packet that the broker takes, in bytes; undefined without a connection. */
  readonly packetBytesMax: number | undefined;
  /** Rejects as a session's `publish` does, and with `unavailable` while there is no connection. */
  publish(topic: string, message: MqttMessage): Promise<Delivery>;
}

const BACKOFF = { firstMs: 200, factor: 2 };
/** Who shares a client id with us is to be seen in the log, and not to be fought with. */
const TAKEN_OVER = describeReason(SESSION_TAKEN_OVER);
const TAKEN_OVER_PAUSE_MS = 30_000;

/** Starts connecting, and keeps doing so until it is disposed. */
export function openMqttClient(config: MqttConfig, options: ClientOptions): MqttClient {
  const { log } = options;
  if (config.tls?.isAuthorityAlone) {
    // The Go programs speak plain text then (quirk Q27 of the wire).
    log.info("an authority is given, so the broker is spoken to over TLS", {
      broker: config.brokerHost,
    });
  }
  const stop = new AbortController();
  let session: Session | undefined;
  let cleanStart = options.cleanStart;

  const runSession = async (): Promise<{ wasSubscribed: boolean; reason: string }> => {
    options.connecting();
    const opened: { session?: Session } = {};
    // From now on there is no connection, so that what is under way comes to an end.
    const end = async (reason: string) => {
      session = undefined;
      await opened.session?.end(reason);
    };
    // Before they are read: what comes in between is not to be missed. New connections prove themselves with new
    // certificates, and nothing under way is lost meanwhile.
    await using _watching = watchFiles(
      config.tls?.paths ?? [],
      { intervalMs: options.tlsRefreshMs, log },
      async () => {
        // A certificate that has come before its key is no reason to leave.
        await config.tls?.read();
        if (opened.session === undefined) throw new Error("no connection yet");
        log.info("certificates were replaced, connecting again", { broker: config.brokerHost });
        void end("certificates were replaced");
      },
    );
    const current = await openSession({
      ...config,
      tls: await config.tls?.read(),
      clientId: options.clientId,
      cleanStart,
      sessionExpirySeconds: options.sessionExpirySeconds,
      receiveMax: options.receiveMax,
      receive: options.receive,
      signal: stop.signal,
    });
    opened.session = current;
    const onStop = () => void end(GIVEN_UP);
    stop.signal.addEventListener("abort", onStop, { once: true });
    let wasSubscribed = false;
    try {
      if (stop.signal.aborted) onStop();
      await current.subscribe(options.subscriptions, config.subQos);
      cleanStart = false;
      session = current;
      wasSubscribed = true;
      await Promise.race([options.connected({ isKept: current.isKept }), current.ended]);
    } catch (error) {
      await end(describeError(error));
    }
    const reason = await current.ended;
    session = undefined;
    stop.signal.removeEventListener("abort", onStop);
    options.disconnected(reason);
    return { wasSubscribed, reason };
  };

  const loop = async () => {
    let failures = 0;
    while (!stop.signal.aborted) {
      let waitMs = 0;
      try {
        const { wasSubscribed, reason } = await runSession();
        if (wasSubscribed) failures = 0;
        if (reason.includes(TAKEN_OVER)) waitMs = TAKEN_OVER_PAUSE_MS;
      } catch (error) {
        options.disconnected(describeError(error));
      }
      const backoff = { ...BACKOFF, ceilingMs: options.pauseMaxMs };
      waitMs += Math.max(1, backoffMs(failures++, backoff, Math.random()));
      await pause(waitMs, stop.signal);
    }
  };

  const finished = loop();
  return {
    get waiting() {
      return session?.waiting;
    },
    get packetBytesMax() {
      return session?.packetBytesMax;
    },
    publish(topic, message) {
      if (session !== undefined) return session.publish(topic, message, config.pubQos);
      return Promise.reject(
        new MaestroError(
          "unavailable",
          `Cannot publish to "${config.brokerHost}": there is no connection`,
        ),
      );
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

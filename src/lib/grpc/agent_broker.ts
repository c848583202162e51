/**
 * The agent's way to its server over gRPC.
 *
 * One connection with one stream per data type. Whatever ends a stream ends the connection, and a new one is tried until the
 * agent stops. Calls that are under way on the old one finish there. A silent connection counts as ended: a half-open one says
 * nothing else.
 */

import { backoffMs } from "../backoff.ts";
import { describeError, MaestroError } from "../errors.ts";
import { watchFiles } from "../fresh_files.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { HEARTBEAT_TYPE } from "../wire/event.ts";
import { decodeEvent, encodeSubscription } from "../wire/protobuf.ts";
import type { Broker, BrokerEvents } from "../work/broker.ts";
import type { AgentBrokerConfig } from "./agent_broker_config.ts";
import { callHeaders, cancel, connectTo, publish, subscribe } from "./agent_call.ts";
import type { Channel } from "./channel.ts";
import type { CallEvents, ClientCall } from "./client_call.ts";
import { STATUS } from "./errors.ts";
import { type HealthTimer, startHealthTimer } from "./health_timer.ts";

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 30_000 };

/** Below the 4 MiB that servers take by default, with room for the attributes. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024 - 128 * 1024;

/** Servers before 2025-11 send their headers with the first event: a stream that lives so long stands. */
const HEADERS_MS = 5_000;

export interface AgentBrokerOptions {
  consumerName: string;
  dataTypes: readonly string[];
  /** How often certificates are looked at, in milliseconds. */
  tlsRefreshMs: number;
  log: Logger;
}

/** One connection and its end. */
interface Session {
  channel: Channel;
  /** Ends the session; the first reason counts. */
  end(reason: string): void;
}

/** Starts connecting, and keeps doing so until it is disposed. */
export function openAgentBroker(
  config: AgentBrokerConfig,
  events: BrokerEvents,
  { consumerName, dataTypes, tlsRefreshMs, log }: AgentBrokerOptions,
): Broker {
  if (config.tls?.isAuthorityAlone && config.readToken === undefined) {
    log.info("TLS without a client certificate, where the Go agent speaks plain text", {
      server: config.url,
    });
  }
  if (config.proxy !== undefined) {
    const { name, variable } = config.proxy;
    log.info("going through a proxy", { server: config.url, proxy: name, variable });
  }
  const stop = new AbortController();
  let connecting: Session | undefined;
  let session: Session | undefined;

  const runSession = async (): Promise<boolean> => {
    const ended = Promise.withResolvers<string>();
    // First what may fail: nobody would close the connection.
    const headers = await callHeaders(config);
    const channel = await connectTo(config, { sentAway: ended.resolve, signal: stop.signal });
    const current: Session = { channel, end: ended.resolve };
    connecting = current;
    const onStop = () => ended.resolve("the agent is stopping");
    stop.signal.addEventListener("abort", onStop, { once: true });
    // It may have come while we read files.
    if (stop.signal.aborted) onStop();
    const { healthinessTimeoutMs: timeoutMs, isHeartbeatRequired } = config;
    const health = startHealthTimer({
      timeoutMs,
      isHeartbeatRequired,
      expired: () => current.end(`no heartbeat received for ${timeoutMs} ms`),
    });
    const streams = dataTypes.map((dataType) => {
      const request = encodeSubscription({ source: "", clusterName: consumerName, dataType });
      const open = (listener: CallEvents) => subscribe(channel, headers, request, listener);
      return openStream(open, events, { end: current.end, health, log });
    });
    let wasSubscribed = false;
    try {
      const isUp = await Promise.race([
        untilSubscribed(channel, streams).then(() => true),
        ended.promise.then(() => false),
      ]);
      if (isUp) {
        session = current;
        wasSubscribed = true;
        await Promise.race([events.subscribed({ isKept: false }), ended.promise]);
      }
    } catch (error) {
      ended.resolve(describeError(error));
    }
    const reason = await ended.promise;
    session = undefined;
    health.stop();
    stop.signal.removeEventListener("abort", onStop);
    for (const { call } of streams) cancel(call);
    // Takes no new calls. Those under way finish, or meet their deadline.
    channel.close();
    events.disconnected(reason);
    return wasSubscribed;
  };

  const loop = async () => {
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        if (await runSession()) failures = 0;
      } catch (error) {
        events.disconnected(describeError(error));
      }
      await pause(Math.max(1, backoffMs(failures++, BACKOFF, Math.random())), stop.signal);
    }
  };

  const finished = loop();
  const watch = watchFiles(
    config.tls?.paths ?? [],
    { intervalMs: tlsRefreshMs, log },
    async () => {
      // Only a set that fits together is worth a new connection.
      await config.tls?.read();
      connecting?.end("the certificates have changed");
    },
  );
  return {
    hubName: config.url,
    eventBytesMax: REQUEST_BYTES_MAX,
    async publish(event) {
      const headers = await callHeaders(config);
      if (session === undefined) {
        throw new MaestroError(
          "unavailable",
          `Cannot publish to "${config.url}": there is no connection`,
        );
      }
      await publish(session.channel, headers, event);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all([finished, watch[Symbol.asyncDispose]()]);
    },
  };
}

/** A subscription, and when the server has let it in. */
interface Stream {
  call: ClientCall;
  begun: Promise<void>;
}

/** Resolves when all streams stand: each has its headers, or has lived for some time. */
async function untilSubscribed(channel: Channel, streams: Stream[]): Promise<void> {
  const headers = Promise.all(streams.map(({ begun }) => begun));
  const given = new AbortController();
  await Promise.race([headers, channel.ready.then(() => pause(HEADERS_MS, given.signal))]);
  given.abort();
}

function openStream(
  subscribe: (listener: CallEvents) => ClientCall,
  events: BrokerEvents,
  { end, health, log }: { end: (reason: string) => void; health: HealthTimer; log: Logger },
): Stream {
  const begun = Promise.withResolvers<void>();
  const receive = async (bytes: Uint8Array) => {
    const event = decodeEvent(bytes);
    if (event.type === HEARTBEAT_TYPE) health.heard("heartbeat");
    else await events.receive(event);
  };
  const call = subscribe({
    begun() {
      health.heard("other");
      begun.resolve();
    },
    // One event at a time: what the agent cannot take yet waits in the connection's window.
    received(bytes) {
      health.heard("other");
      return receive(bytes).catch((error: unknown) => log.error("cannot receive event", { error }));
    },
    ended({ code, details }) {
      if (code === STATUS.ok) end("the server ended the subscription");
      else end(details || `the server ended the subscription with gRPC status ${code}`);
    },
  });
  return { call, begun: begun.promise };
}

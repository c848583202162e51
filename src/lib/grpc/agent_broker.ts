/**
 * The agent's way to its server over gRPC.
 *
 * One connection with one stream per data type. Whatever ends a stream ends the connection, and a new one is tried until the
 * agent stops. A silent connection counts as ended: a half-open one says nothing else.
 */

import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { backoffMs } from "../backoff.ts";
import { describeError, type ErrorCode, MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { type CloudEvent, HEARTBEAT_TYPE } from "../wire/event.ts";
import { decodeEvent, encodePublishRequest, encodeSubscription } from "../wire/protobuf.ts";
import type { Broker, BrokerEvents } from "../work/broker.ts";
import type { AgentBrokerConfig } from "./agent_broker_config.ts";
import { STATUS } from "./errors.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";

/** What a report may take; a server that needs longer is not there. */
const PUBLISH_TIMEOUT_MS = 10_000;

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 30_000 };

/** Specs may be large; the server has its own limit. */
const EVENT_BYTES_MAX = 64 * 1024 * 1024;

/** Below the 4 MiB that servers take by default, with room for the attributes. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024 - 128 * 1024;

export interface AgentBrokerOptions {
  consumerName: string;
  dataTypes: readonly string[];
  log: Logger;
}

/** One connection and its end. */
interface Session {
  client: Client;
  /** Ends the session; the first reason counts. */
  end(reason: string): void;
}

/** Starts connecting, and keeps doing so until it is disposed. */
export function openAgentBroker(
  config: AgentBrokerConfig,
  events: BrokerEvents,
  { consumerName, dataTypes, log }: AgentBrokerOptions,
): Broker {
  const stop = new AbortController();
  let session: Session | undefined;

  const runSession = async (): Promise<boolean> => {
    const [channel, metadata] = await Promise.all([
      channelCredentials(config),
      callMetadata(config),
    ]);
    const client = new Client(config.url, channel, channelOptions(config));
    const ended = Promise.withResolvers<string>();
    const current: Session = { client, end: ended.resolve };
    const onStop = () => ended.resolve("the agent is stopping");
    stop.signal.addEventListener("abort", onStop, { once: true });
    const health = startHealthTimer(config.healthinessTimeoutMs, current.end);
    const streams = dataTypes.map((dataType) => {
      const request = encodeSubscription({ source: "", clusterName: consumerName, dataType });
      return openStream(client, metadata, request);
    });
    let wasSubscribed = false;
    try {
      for (const stream of streams) readStream(stream, events, { end: current.end, health, log });
      const isUp = await Promise.race([
        Promise.all(streams.map(subscribed)).then(() => true),
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
    for (const stream of streams) stream.cancel();
    client.close();
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
  return {
    hubName: config.url,
    eventBytesMax: REQUEST_BYTES_MAX,
    async publish(event) {
      const current = session;
      if (current === undefined) {
        throw new MaestroError(
          "unavailable",
          `Cannot publish to "${config.url}": there is no connection`,
        );
      }
      await publish(current.client, await callMetadata(config), event);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

// Decoded later: grpc-js ends a stream whose decoder throws, and the same event would end the next one too.
type Stream = ClientReadableStream<Buffer>;

function openStream(client: Client, metadata: Metadata, request: Uint8Array): Stream {
  return client.makeServerStreamRequest(
    SUBSCRIBE,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => bytes,
    request,
    metadata,
    {},
  );
}

/** Resolves with the server's first headers, which say that the subscription stands. */
function subscribed(stream: Stream): Promise<unknown> {
  return new Promise((resolve) => stream.once("metadata", resolve));
}

function readStream(
  stream: Stream,
  events: BrokerEvents,
  { end, health, log }: { end: (reason: string) => void; health: HealthTimer; log: Logger },
): void {
  stream.on("metadata", health.reset);
  const receive = async (bytes: Buffer) => {
    const event = decodeEvent(bytes);
    if (event.type !== HEARTBEAT_TYPE) await events.receive(event);
  };
  stream.on("data", (bytes: Buffer) => {
    health.reset();
    // One event at a time: what the agent cannot take yet waits in the connection's window.
    stream.pause();
    receive(bytes)
      .catch((error: unknown) => log.error("cannot receive event", { error }))
      .finally(() => stream.resume());
  });
  stream.on("error", (error: ServiceError) => end(error.details || error.message));
  stream.on("end", () => end("the server ended the subscription"));
}

interface HealthTimer {
  reset: () => void;
  stop: () => void;
}

function startHealthTimer(timeoutMs: number, end: (reason: string) => void): HealthTimer {
  const expire = () => end(`no heartbeat received for ${timeoutMs} ms`);
  let timer = setTimeout(expire, timeoutMs);
  return {
    reset() {
      clearTimeout(timer);
      timer = setTimeout(expire, timeoutMs);
    },
    stop: () => clearTimeout(timer),
  };
}

function publish(client: Client, metadata: Metadata, event: CloudEvent): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      PUBLISH,
      (bytes: Uint8Array) => Buffer.from(bytes),
      () => undefined,
      encodePublishRequest(event),
      metadata,
      { deadline: Date.now() + PUBLISH_TIMEOUT_MS },
      (error) => error === null ? resolve() : reject(refusalOf(error)),
    );
  });
}

const CODES: Record<number, ErrorCode> = {
  [STATUS.invalidArgument]: "invalid_argument",
  [STATUS.unauthenticated]: "unauthenticated",
  [STATUS.permissionDenied]: "permission_denied",
  [STATUS.notFound]: "not_found",
  [STATUS.failedPrecondition]: "conflict",
  [STATUS.resourceExhausted]: "resource_exhausted",
  [STATUS.unavailable]: "unavailable",
  [STATUS.deadlineExceeded]: "unavailable",
  [STATUS.cancelled]: "unavailable",
};

function refusalOf(error: ServiceError): MaestroError {
  // The words of every gRPC server; trying again would not help, as it does with other exhausted resources.
  const isTooLarge = error.code === STATUS.resourceExhausted &&
    /larger than max/.test(error.details);
  const code = isTooLarge ? "too_large" : CODES[error.code] ?? "internal";
  return new MaestroError(code, `Cannot publish: ${error.details || error.message}`, {
    cause: error,
  });
}

async function callMetadata({ readToken }: AgentBrokerConfig): Promise<Metadata> {
  const metadata = new Metadata();
  if (readToken !== undefined) metadata.set("authorization", `Bearer ${await readToken()}`);
  return metadata;
}

async function channelCredentials(
  { tls, url }: AgentBrokerConfig,
): Promise<ChannelCredentials> {
  if (tls === undefined) return credentials.createInsecure();
  const { ca, cert, key } = await tls.read();
  const host = hostOf(url);
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null, {
    // The host as configured, whatever name was sent along: an address has none.
    checkServerIdentity: (_, certificate) =>
      checkServerIdentity(host, certificate as PeerCertificate),
  });
}

function hostOf(url: string): string {
  return url.slice(0, url.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}

function channelOptions({ keepAlive, url }: AgentBrokerConfig): ChannelOptions {
  return {
    // TLS sends names only (RFC 6066 §3), while grpc-js would send an address and fail.
    ...(isIP(hostOf(url)) === 0 ? {} : { "grpc.ssl_target_name_override": "localhost" }),
    "grpc.max_receive_message_length": EVENT_BYTES_MAX,
    "grpc.max_send_message_length": EVENT_BYTES_MAX,
    // A connection that was given up must not be handed out again by a pool.
    "grpc.use_local_subchannel_pool": 1,
    // We try again ourselves, with our own pauses.
    "grpc.enable_retries": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    ...(keepAlive === undefined ? {} : {
      "grpc.keepalive_time_ms": keepAlive.timeMs,
      "grpc.keepalive_timeout_ms": keepAlive.timeoutMs,
      "grpc.keepalive_permit_without_calls": keepAlive.permitWithoutStream ? 1 : 0,
    }),
  };
}

/** What the agent needs of grpc-js: a channel to its server, and calls over it. */

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
import type { CloudEvent } from "../wire/event.ts";
import { encodePublishRequest } from "../wire/protobuf.ts";
import type { AgentBrokerConfig } from "./agent_broker_config.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";
import { readRefusal } from "./refusal.ts";

/**
 * What a report or a question may take. A server to which thousands of agents return at once is slow for a while, and who gives
 * up too early comes back as one more of them; one that is gone is noticed by its silence.
 */
const PUBLISH_TIMEOUT_MS = 30_000;

/** Specs may be large; the server has its own limit. */
const EVENT_BYTES_MAX = 64 * 1024 * 1024;

/** Decoded by the caller: grpc-js ends a stream whose decoder throws, and the same event would end the next one too. */
export type Stream = ClientReadableStream<Buffer>;

/** Opens a channel with the certificates of now; it connects with the first call. */
export async function openClient(config: AgentBrokerConfig): Promise<Client> {
  return new Client(config.url, await channelCredentials(config), channelOptions(config));
}

/** The metadata of a call made now. */
export async function callMetadata({ readToken }: AgentBrokerConfig): Promise<Metadata> {
  const metadata = new Metadata();
  if (readToken !== undefined) metadata.set("authorization", `Bearer ${await readToken()}`);
  return metadata;
}

/** Subscribes; `request` is an encoded SubscriptionRequest. */
export function openStream(client: Client, metadata: Metadata, request: Uint8Array): Stream {
  return client.makeServerStreamRequest(
    SUBSCRIBE,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => bytes,
    request,
    metadata,
    {},
  );
}

/** Publishes one event. Rejects with a `MaestroError` that says what the server said. */
export function publish(client: Client, metadata: Metadata, event: CloudEvent): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      PUBLISH,
      (bytes: Uint8Array) => Buffer.from(bytes),
      () => undefined,
      encodePublishRequest(event),
      metadata,
      { deadline: Date.now() + PUBLISH_TIMEOUT_MS },
      (error: ServiceError | null) => error === null ? resolve() : reject(readRefusal(error)),
    );
  });
}

async function channelCredentials({ tls, url }: AgentBrokerConfig): Promise<ChannelCredentials> {
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

/** What an agent asks of its server: a subscription, and to take what it publishes. */

import type { CloudEvent } from "../wire/event.ts";
import { encodePublishRequest } from "../wire/protobuf.ts";
import { type AgentBrokerConfig, serverEnd } from "./agent_broker_config.ts";
import {
  authorityOf,
  type Channel,
  type ChannelOptions,
  CONNECT_MS,
  openChannel,
} from "./channel.ts";
import type { CallEvents, ClientCall } from "./client_call.ts";
import { STATUS } from "./errors.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";
import { readRefusal } from "./refusal.ts";
import { openTunnel } from "./tunnel.ts";

/** What goes along with each call. */
export type CallHeaders = Record<string, string>;

/**
 * What a report or a question may take. A server to which thousands of agents return at once is slow for a while, and who gives
 * up too early comes back as one more of them; one that is gone is noticed by its silence.
 */
const PUBLISH_TIMEOUT_MS = 30_000;

/** Specs may be large; the server has its own limit. */
const EVENT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Starts to connect, with the certificates of now. Throws `unavailable` if a proxy on the way refuses, or `signal` ends the
 * waiting for it.
 */
export async function connectTo(
  { url, tls, keepAlive, proxy }: AgentBrokerConfig,
  { sentAway = () => {}, signal }: {
    sentAway?: ChannelOptions["sentAway"];
    signal?: AbortSignal;
  } = {},
): Promise<Channel> {
  const files = await tls?.read();
  const server = { ...serverEnd(url), ...(files && { tls: files }) };
  const options: ChannelOptions = { sentAway, ...(keepAlive && { keepAlive }) };
  if (proxy === undefined) return openChannel(server, options);
  const startMs = performance.now();
  const tunnel = await openTunnel(proxy, authorityOf(server), {
    timeoutMs: CONNECT_MS,
    ...(signal && { signal }),
  });
  const connectTimeoutMs = Math.max(0, CONNECT_MS - (performance.now() - startMs));
  return openChannel(server, { ...options, tunnel, connectTimeoutMs });
}

/** The headers of a call made now. */
export async function callHeaders({ readToken }: AgentBrokerConfig): Promise<CallHeaders> {
  return readToken === undefined ? {} : { authorization: `Bearer ${await readToken()}` };
}

/** Subscribes; `request` is an encoded SubscriptionRequest. */
export function subscribe(
  channel: Channel,
  headers: CallHeaders,
  request: Uint8Array,
  events: CallEvents,
): ClientCall {
  const call = { message: request, receiveBytesMax: EVENT_BYTES_MAX };
  return channel.call(SUBSCRIBE, headers, call, events);
}

/** Ends a call that nobody needs any more. */
export function cancel(call: ClientCall): void {
  call.end({ code: STATUS.cancelled, details: "Cancelled on client" });
}

/** Publishes one event. Rejects with a `MaestroError` that says what the server said. */
export function publish(channel: Channel, headers: CallHeaders, event: CloudEvent): Promise<void> {
  const call = {
    message: encodePublishRequest(event),
    timeoutMs: PUBLISH_TIMEOUT_MS,
    receiveBytesMax: EVENT_BYTES_MAX,
  };
  return new Promise((resolve, reject) => {
    channel.call(PUBLISH, headers, call, {
      ended: (status) => status.code === STATUS.ok ? resolve() : reject(readRefusal(status)),
    });
  });
}

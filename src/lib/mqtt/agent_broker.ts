/** The agent's way to its server over an MQTT broker. */

import { describeError, MaestroError } from "../errors.ts";
import { keepTrying } from "../keep_trying.ts";
import type { Logger } from "../log.ts";
import { type CloudEvent, HEARTBEAT_TYPE } from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import { decodeMqtt, encodeMqtt, type ReceivedMessage } from "../wire/mqtt.ts";
import { agentTopics } from "../wire/topics.ts";
import type { Broker, BrokerEvents } from "../work/broker.ts";
import { type MqttClient, openMqttClient } from "./client.ts";
import type { MqttConfig } from "./config.ts";

export interface AgentBrokerOptions {
  /** Who the agent is; its MQTT client id is made of it. */
  agentId: string;
  consumerName: string;
  /** How often certificates are looked at, in milliseconds. */
  tlsRefreshMs: number;
  log: Logger;
}

/** Thousands of agents come back together: they spread over this. */
const PAUSE_MAX_MS = 15_000;
/** Specs that may wait for the agent; the broker keeps the others. */
const RECEIVE_MAX = 100;
/** Over a short loss of the connection the broker keeps what comes. After a longer one a resync is cheaper. */
const SESSION_EXPIRY_SECONDS = 60;
/** The attributes of an event, its topic and the packet around it. */
const HEAD_BYTES_MAX = 4 * 1024;
const NOBODY_BACKOFF = { firstMs: 500, factor: 2, ceilingMs: 10_000 };

/** Starts connecting, and keeps doing so until it is disposed. Throws if the topics do not fit the consumer. */
export function openMqttAgentBroker(
  config: MqttConfig,
  events: BrokerEvents,
  { agentId, consumerName, tlsRefreshMs, log }: AgentBrokerOptions,
): Broker {
  const topics = agentTopics(config.topics, consumerName);
  let taken = Promise.resolve();
  let connection = new AbortController();

  // One at a time and in order. Only what the agent has taken is acknowledged, so a crash loses nothing.
  const receive = (_: string, message: ReceivedMessage, acknowledge: () => void) => {
    taken = taken.then(() => take(message)).then(acknowledge);
  };
  const take = async (message: ReceivedMessage) => {
    try {
      const event = decodeMqtt(message);
      if (event.type !== HEARTBEAT_TYPE) await events.receive(event);
    } catch (error) {
      // It would be no better if it came again.
      log.warn("cannot use a message", { reason: describeError(error) });
    }
  };

  /** A server that is away hears no resync request, and does not ask whether there was one. */
  const subscribed = (isKept: boolean, signal: AbortSignal) =>
    keepTrying(() => events.subscribed({ isKept }), {
      backoff: NOBODY_BACKOFF,
      signal,
      failed(error, attempt) {
        if (!(error instanceof NobodyListens)) throw error;
        if (attempt > 0) return;
        log.warn("no server listens, waiting for one", { broker: config.brokerHost });
      },
    });

  const client: MqttClient = openMqttClient(config, {
    clientId: `${agentId}-client`,
    subscriptions: topics.subscriptions,
    sessionExpirySeconds: SESSION_EXPIRY_SECONDS,
    // What the broker kept for an earlier process would come before this one knows anything.
    cleanStart: true,
    pauseMaxMs: PAUSE_MAX_MS,
    receiveMax: RECEIVE_MAX,
    tlsRefreshMs,
    receive,
    connecting() {
      connection = new AbortController();
    },
    connected: ({ isKept }) => subscribed(isKept, connection.signal),
    disconnected(reason) {
      connection.abort();
      events.disconnected(reason);
    },
    log,
  });

  return {
    hubName: config.brokerHost,
    get eventBytesMax() {
      return Math.max(HEAD_BYTES_MAX, (client.packetBytesMax ?? 0) - HEAD_BYTES_MAX);
    },
    async publish(event) {
      const delivery = await client.publish(topics.topicOf(event), encodeMqtt(event));
      if (delivery === "nobody" && isResyncRequest(event)) throw new NobodyListens();
    },
    async [Symbol.asyncDispose]() {
      connection.abort();
      await client[Symbol.asyncDispose]();
      await taken;
    },
  };
}

/** Reports that nobody hears are found by the server's own question when it is back; a question would be lost. */
class NobodyListens extends MaestroError {
  constructor() {
    super("unavailable", "Cannot ask for a resync: no server listens");
  }
}

function isResyncRequest({ type }: CloudEvent): boolean {
  return parseEventType(type).action === ACTION.resyncRequest;
}

/**
 * The MQTT door for agents: specs go out through a broker, reports come in.
 *
 * Any server may publish to any consumer, and with a shared subscription any server may get any report. A message is
 * acknowledged when what it says is committed. When the process dies, or cannot store: the broker keeps the message
 * as long as the session lasts; after that the next server asks all agents for what differs.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { describeError, maySucceedLater } from "../errors.ts";
import { keepTrying } from "../keep_trying.ts";
import type { Logger } from "../log.ts";
import { startPump } from "../pump.ts";
import { toBareDeletion } from "../spec/event.ts";
import { createEverybody } from "../spec/everybody.ts";
import type { Ready } from "../spec/publish.ts";
import { allConsumers, askForStatuses, checkStatuses } from "../status/check.ts";
import type { Sent } from "../status/pipeline.ts";
import { noteRefusal } from "../status/refuse.ts";
import { createRoll } from "../status/roll.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { encodeMqtt, type ReceivedMessage } from "../wire/mqtt.ts";
import { sourceTopics } from "../wire/topics.ts";
import { openMqttClient } from "./client.ts";
import type { MqttConfig } from "./config.ts";
import { createPace } from "./pace.ts";
import { createReception } from "./reception.ts";

export interface AgentDoorOptions {
  clientId: string;
  sourceId: string;
  /** How often certificates are looked at, in milliseconds. */
  tlsRefreshMs: number;
  /** How often it is looked for what the broker has dropped, in milliseconds. */
  checkIntervalMs: number;
  /** Called with each sign of life, and with who gave it if the event says so. */
  heard: (consumerName: string, agentVersion?: string) => void;
  /** Called when reports have been stored. */
  reported: () => void;
  /** Called when there is a connection, or it can take more again. */
  wake: (consumerNames: string[]) => void;
  log: Logger;
}

export interface AgentDoor extends AsyncDisposable {
  /** Who can be sent to now. */
  ready(): Ready;
  /** Hands an event to the broker; false if there is no connection to it. */
  publish(consumerName: string, event: CloudEvent): boolean;
  /** Why nobody can be reached; undefined if they can. */
  readiness(): string | undefined;
}

/** Servers are few: a broker that is back gets them soon. */
const PAUSE_MAX_MS = 5_000;
/** Reports that may wait for their commit; the broker keeps the others. */
const RECEIVE_MAX = 1_000;
/** Over a short loss of the connection the broker keeps reports, of which the oldest may be dropped. */
const SESSION_EXPIRY_SECONDS = 60;
/** Beyond this the broker is slower than we are, and nothing more is claimed. */
const WAITING_MAX = 500;
const CLOCK_BACKOFF = { firstMs: 100, factor: 2, ceilingMs: 5_000 };
/** Go servers send no larger questions, whatever the broker takes. */
const QUESTION_BYTES_MAX = 512 * 1024;
/** The attributes of an event, its topic and the packet around it. */
const HEAD_BYTES_MAX = 4 * 1024;
const NOBODY: Ready = new Map();

/** Starts connecting, and keeps doing so until it is disposed. Throws if the topics are not this source's. */
export function openMqttAgentDoor(
  db: Db,
  config: MqttConfig,
  options: AgentDoorOptions,
): AgentDoor {
  const { log, sourceId, wake } = options;
  const topics = sourceTopics(config.topics, sourceId);
  const roll = createRoll(() => performance.now());
  let ready = NOBODY;
  let offline: string | undefined = "not connected yet";
  let connection = new AbortController();
  /** What was marked as sent and may not have left: by an earlier process, or on a connection that broke. */
  let mayHaveLost = true;
  let wasFull = false;
  let isStopping = false;
  let asking = Promise.resolve();

  const pace = createPace((consumerName) => wake([consumerName]));
  const isReady = (consumerName: string) => !pace.isFull(consumerName);

  const post = async (event: CloudEvent) =>
    await client.publish(topics.topicOf(event), encodeMqtt(event));

  const send = async (consumerName: string, event: CloudEvent): Promise<Sent> => {
    const resourceId = event.extensions[EXT.resourceId];
    if (typeof resourceId === "string") pace.sent(consumerName, resourceId);
    try {
      const delivery = await post(event).catch((error) => {
        const bare = maySucceedLater(error) ? undefined : toBareDeletion(event);
        if (bare === undefined) throw error;
        return post(bare);
      });
      if (delivery === "nobody") roll.missed(consumerName);
      else {
        roll.reached(consumerName);
        // A subscription outlives its connection by a minute at most (Go agents': not at all).
        options.heard(consumerName);
      }
      return delivery;
    } catch (error) {
      return await explain(event, error);
    } finally {
      if (wasFull && (client.waiting ?? 0) < WAITING_MAX / 2) {
        wasFull = false;
        wake([]);
      }
    }
  };

  /** An event that never passes is told to its source; any other is still pending and sent again. */
  const explain = async (event: CloudEvent, error: unknown): Promise<Sent> => {
    if (maySucceedLater(error)) {
      mayHaveLost = true;
      return "disconnected";
    }
    await noteRefusal(db, log, event, { reason: describeError(error), sourceId });
    return "refused";
  };

  const bodyBytesMax = () =>
    Math.min(client.packetBytesMax ?? Infinity, QUESTION_BYTES_MAX) - HEAD_BYTES_MAX;
  const reception = createReception(db, {
    send,
    pace,
    sourceId,
    bodyBytesMax,
    roll,
    heard: options.heard,
    reported: options.reported,
    log,
  });

  const connected = async ({ isKept }: { isKept: boolean }, signal: AbortSignal) => {
    const rows = isKept && !mayHaveLost ? [] : await keepTrying(() => q.clockNow(db), {
      backoff: CLOCK_BACKOFF,
      signal,
      failed: (error) => log.warn("the database does not answer, trying again", { error }),
    });
    // The connection may have ended meanwhile: then nobody can be sent to, and what was lost with it still is.
    if (rows === undefined || signal.aborted) return;
    ready = createEverybody(db, {
      connectedAt: rows[0]?.now ?? LONG_AGO,
      isAway: roll.isAway,
      isReady,
    });
    offline = undefined;
    mayHaveLost = false;
    log.info("connected to the broker", { broker: config.brokerHost, kept: isKept });
    wake([]);
    // Beside everything else; it never rejects.
    asking = askForStatuses(db, send, log, {
      sourceId,
      signal,
      bytesMax: bodyBytesMax(),
    });
  };

  const client = openMqttClient(config, {
    clientId: options.clientId,
    subscriptions: topics.subscriptions,
    sessionExpirySeconds: SESSION_EXPIRY_SECONDS,
    cleanStart: false,
    pauseMaxMs: PAUSE_MAX_MS,
    receiveMax: RECEIVE_MAX,
    tlsRefreshMs: options.tlsRefreshMs,
    receive: (_: string, message: ReceivedMessage, acknowledge) =>
      reception.receive(message, connection.signal, acknowledge),
    connecting() {
      connection = new AbortController();
    },
    connected: (state) => connected(state, connection.signal),
    disconnected(reason) {
      connection.abort();
      ready = NOBODY;
      if (offline !== reason && !isStopping) {
        log.warn("no connection to the broker", { broker: config.brokerHost, reason });
      }
      offline = reason;
    },
    log,
  });

  const checking = startPump(
    async () => {
      if (offline !== undefined) return;
      const bytesMax = bodyBytesMax();
      await checkStatuses(db, send, allConsumers(db), {
        ...{ sourceId, bytesMax, roll },
        isProbing: true,
        signal: connection.signal,
      });
    },
    { name: "status-check", intervalMs: options.checkIntervalMs, log },
  );

  return {
    ready() {
      wasFull = (client.waiting ?? 0) >= WAITING_MAX;
      return wasFull ? NOBODY : ready;
    },
    publish(consumerName, event) {
      if (client.waiting === undefined) {
        mayHaveLost = true;
        return false;
      }
      // Never rejects: what fails is explained, or still pending.
      void send(consumerName, event);
      return true;
    },
    readiness: () => offline && `the broker ${config.brokerHost} cannot be used: ${offline}`,
    async [Symbol.asyncDispose]() {
      isStopping = true;
      connection.abort();
      await checking[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
      await reception[Symbol.asyncDispose]();
      await asking;
    },
  };
}

/** Nothing that was sent is lost, so nothing is sent again before its time. */
const LONG_AGO = "1970-01-01T00:00:00Z";

/** The gRPC broker for agents: specs go out, reports come in. */

import type { Logger } from "../log.ts";
import type { AcceptReport } from "../status/accept.ts";
import { readReport } from "../status/accept.ts";
import type { Here, ReadyConsumer } from "../spec/publish.ts";
import type { Delivery } from "../spec/resync.ts";
import {
  type CloudEvent,
  EXT,
  isWorkType,
  optionalStringExtension,
  stringExtension,
} from "../wire/event.ts";
import { ACTION, isDataType, parseEventType } from "../wire/event_type.ts";
import { decodePublishRequest, decodeSubscription } from "../wire/protobuf.ts";
import {
  decodeSpecResync,
  type HeldVersion,
  type ResyncRange,
  resyncRange,
  resyncSubject,
} from "../wire/resync.ts";
import { GrpcError, refuseAgent, STATUS } from "./errors.ts";
import { type EventLimit, fitEvent } from "./event_limit.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";
import type { Call, Methods } from "./call.ts";
import type { ResponseStream } from "./response.ts";
import { createRounds, type Rounds } from "./rounds.ts";
import { anyCaughtUp, createHeartbeats, createSubscriber, type Subscriber } from "./subscriber.ts";

/** Sends an agent what it lacks. */
export type AnswerResync = (
  delivery: Delivery,
  consumer: ReadyConsumer,
  request: {
    dataType: string;
    held: HeldVersion[];
    range: ResyncRange;
    statusDigest: string | undefined;
    versionDigest: string | undefined;
  },
) => {
  /** Resolves when the agent may report again: no report makes a difference to what it has said. */
  compared: Promise<unknown>;
  /** Resolves when all is sent. */
  answered: Promise<unknown>;
};

export interface AgentDoorOptions {
  acceptReport: AcceptReport;
  answerResync: AnswerResync;
  /** The database's clock. */
  now: () => Promise<string>;
  /** Told of everything that agents send. Ours say their version. */
  heard: (consumerName: string, agentVersion?: string) => void;
  /** Called when a consumer has connected, or has caught up after being slow. */
  wake: (consumerName: string) => void;
  limit: EventLimit;
  sourceId: string;
  /** Time between heartbeats; undefined for none. */
  heartbeatMs: number | undefined;
  log: Logger;
}

export interface AgentDoor {
  methods: Methods;
  /** By which its heartbeats go, for pings that go with them. */
  rounds: Rounds;
  /** The consumers that can take events at the time of asking. */
  ready(): Here;
  /** The consumers whose agents are connected here, whether or not they can take events. */
  connected(): Iterable<string>;
  /** True if an agent of this consumer is connected here. */
  isConnected(consumerName: string): boolean;
  /** Hands an event to the agents of a consumer; false if there is none any more. */
  publish(consumerName: string, event: CloudEvent): boolean;
  /** The same, and resolves when there is room for another, to false if there is nobody any more. */
  deliver(consumerName: string, event: CloudEvent): Promise<boolean>;
}

interface Connected {
  /** By data type: an agent has a stream for each that it knows. */
  streams: Map<string, Set<Subscriber>>;
  /** When the last of them was opened: what was sent before may have had no stream yet. */
  connectedAt: string;
}

/** Only one turn of the publisher ever waits here: a consumer that is not ready is passed over. */
const WAITING_MAX = 10_000;
const NO_CONTENT = new Uint8Array();

/** Makes the methods of the broker. */
export function createAgentDoor(options: AgentDoorOptions): AgentDoor {
  const consumers = new Map<string, Connected>();
  const ready = readyAmong(consumers);
  const rounds = createRounds();
  const heartbeats = createHeartbeats(rounds, options.heartbeatMs);
  /** Those whose subscription has come, and will count in a moment: agents do not wait for its headers for ever. */
  const arriving = new Map<string, Promise<void>>();

  const publish = (consumerName: string, given: CloudEvent) => {
    const event = fitEvent(options.limit, consumerName, given);
    // What is refused has gone as far as it can.
    if (event === undefined) return true;
    const { dataType } = parseEventType(event.type);
    let isSent = false;
    for (const subscriber of consumers.get(consumerName)?.streams.get(dataType) ?? []) {
      isSent = subscriber.push(event) || isSent;
    }
    return isSent;
  };

  const deliver = async (consumerName: string, event: CloudEvent) => {
    if (!publish(consumerName, event)) return false;
    const { dataType } = parseEventType(event.type);
    return await anyCaughtUp(consumers.get(consumerName)?.streams.get(dataType) ?? []);
  };

  const resync = async (event: CloudEvent, dataType: string) => {
    const consumerName = stringExtension(event, EXT.clusterName);
    const [held, range] = [decodeSpecResync(event.data), resyncRange(event)];
    await arriving.get(consumerName);
    const connected = consumers.get(consumerName);
    const subscribers = connected?.streams.get(dataType);
    if (connected === undefined || subscribers === undefined) {
      throw new GrpcError(
        STATUS.failedPrecondition,
        `Cannot resync consumer "${consumerName}": it has no subscription here`,
      );
    }
    const delivery = {
      push: (answer: CloudEvent) => void publish(consumerName, answer),
      room: () => anyCaughtUp(subscribers),
    };
    const statusDigest = optionalStringExtension(event, EXT.statusDigest);
    const versionDigest = optionalStringExtension(event, EXT.versionDigest);
    const request = { dataType, held, range, statusDigest, versionDigest };
    const consumer = { name: consumerName, connectedAt: connected.connectedAt };
    const { compared, answered } = options.answerResync(delivery, consumer, request);
    // Answered beside the call, which has a deadline. A failure ends the streams, after which agents ask again.
    answered.catch((error) => {
      options.log.error("cannot answer a spec resync", { consumer: consumerName, error });
      for (const one of subscribers) one.restart("the resync failed");
    });
    await compared;
  };

  const receive = async (message: Uint8Array) => {
    const event = decodePublishRequest(message);
    const { action, subresource, dataType } = parseEventType(event.type);
    const { [EXT.clusterName]: name, [EXT.agentVersion]: version } = event.extensions;
    if (typeof name === "string") options.heard(name, textOf(version));
    if (action === ACTION.resyncRequest) {
      if (resyncSubject(event.data, subresource) !== "spec") {
        throw new GrpcError(STATUS.invalidArgument, `unsupported event type ${event.type}`);
      }
      // Nothing of another type is held here, so there is nothing to answer.
      if (isWorkType(dataType)) await resync(event, dataType);
      return;
    }
    if (subresource !== "status" || !isWorkType(dataType)) {
      throw new GrpcError(STATUS.invalidArgument, `unsupported event type ${event.type}`);
    }
    // Stale reports are fine: something newer is stored.
    await options.acceptReport(readReport(event, options.sourceId));
  };

  const subscribe = async (message: Uint8Array, stream: ResponseStream, call: Call) => {
    const { consumerName, dataType } = readSubscription(message);
    // Before it can be sent anything: what is marked as sent from here on goes to this connection.
    const asked = options.now();
    const arrived = asked.then(() => {}, () => {});
    arriving.set(consumerName, arrived);
    void arrived.then(() =>
      arriving.get(consumerName) === arrived && arriving.delete(consumerName)
    );
    const connectedAt = await asked;
    if (stream.isClosed) return;
    const subscriber = createSubscriber(stream, {
      heartbeats,
      connection: call.connection,
      waitingMax: WAITING_MAX,
      caughtUp: () => options.wake(consumerName),
    });
    // Agents of the hub keep a stream for each of its types. Those that are not ours get heartbeats.
    if (!isWorkType(dataType)) return;
    const connected: Connected = consumers.get(consumerName) ?? { streams: new Map(), connectedAt };
    connected.connectedAt = connectedAt;
    const subscribers = connected.streams.get(dataType) ?? new Set();
    connected.streams.set(dataType, subscribers.add(subscriber));
    consumers.set(consumerName, connected);
    options.log.info("an agent subscribed", { consumer: consumerName, data_type: dataType });
    stream.onClose(() => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0) connected.streams.delete(dataType);
      if (connected.streams.size === 0) consumers.delete(consumerName);
      options.log.info("an agent left", { consumer: consumerName });
    });
    options.wake(consumerName);
  };

  return {
    methods: {
      unary: {
        [PUBLISH]: (message) =>
          receive(message).then(() => NO_CONTENT, (error) => Promise.reject(refuseAgent(error))),
      },
      streaming: {
        [SUBSCRIBE]: (message, stream, call) =>
          subscribe(message, stream, call).catch((error) => Promise.reject(refuseAgent(error))),
      },
    },
    rounds,
    ready: () => ready,
    connected: () => consumers.keys(),
    isConnected: (consumerName) => consumers.has(consumerName),
    publish,
    deliver,
  };
}

function readyAmong(consumers: ReadonlyMap<string, Connected>): Here {
  const get = (name: string): ReadyConsumer | undefined => {
    const connected = consumers.get(name);
    if (connected === undefined || !isReady(connected)) return undefined;
    return { name, connectedAt: connected.connectedAt };
  };
  return {
    get,
    has: (name) => get(name) !== undefined,
    keys: () => consumers.keys().filter((name) => get(name) !== undefined),
  };
}

/** One of each type is enough: another may be a connection that has died and is not yet known to have. */
function isReady({ streams }: Connected): boolean {
  for (const ofType of streams.values()) {
    if (!ofType.values().some((one) => one.isReady)) return false;
  }
  return true;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The texts are those of the Go broker. */
function readSubscription(message: Uint8Array): { consumerName: string; dataType: string } {
  const { clusterName, dataType } = decodeSubscription(message);
  if (clusterName === "") {
    throw new GrpcError(STATUS.unknown, "invalid subscription request: missing cluster name");
  }
  if (!isDataType(dataType)) {
    throw new GrpcError(
      STATUS.unknown,
      `invalid subscription request: invalid data type "${dataType}"`,
    );
  }
  return { consumerName: clusterName, dataType };
}

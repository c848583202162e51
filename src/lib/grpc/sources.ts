/** The gRPC door for sources: specs come in, statuses go out. */

import type { Acceptor } from "../spec/accept.ts";
import { readSpecChange } from "../spec/change.ts";
import type { Logger } from "../log.ts";
import type { CloudEvent } from "../wire/event.ts";
import { ACTION, type EventType, parseEventType } from "../wire/event_type.ts";
import { decodePublishRequest, decodeSubscription } from "../wire/protobuf.ts";
import { decodeStatusResync, type HeldStatus } from "../wire/resync.ts";
import { refuseSource, refuseSourceInput } from "./errors.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";
import type { Call, Methods } from "./call.ts";
import type { ResponseStream } from "./response.ts";
import { anyCaughtUp, createSubscriber, type Subscriber } from "./subscriber.ts";

export interface SourceDoorOptions {
  acceptor: Acceptor;
  /** Throws `unauthenticated` unless the caller may enter. */
  authenticate: (authorization: string | undefined) => Promise<void>;
  /** Sends the statuses of a source that differ from what it holds. */
  answerResync: (
    deliver: (event: CloudEvent) => Promise<boolean>,
    source: string,
    held: HeldStatus[],
  ) => Promise<void>;
  /** Called before a subscriber is let in, so that it misses nothing from then on. */
  beforeSubscribe: () => Promise<void>;
  /** Time between heartbeats; undefined for none. */
  heartbeatMs: number | undefined;
  log: Logger;
}

export interface SourceDoor {
  methods: Methods;
  /** The sources that somebody subscribes to. */
  sources(): string[];
  /** Tells the subscribers of a source. */
  broadcast(source: string, event: CloudEvent): void;
}

/** Resources that may wait for a slow source before its stream is ended. */
const WAITING_MAX = 10_000;
const NO_CONTENT = new Uint8Array();

/** Makes the methods of the door. */
export function createSourceDoor(options: SourceDoorOptions): SourceDoor {
  const subscribers = new Map<string, Set<Subscriber>>();

  const broadcast = (source: string, event: CloudEvent) => {
    for (const subscriber of subscribers.get(source) ?? []) subscriber.push(event);
  };

  const resync = (event: CloudEvent) => {
    const held = decodeStatusResync(event.data);
    const deliver = async (answer: CloudEvent) => {
      broadcast(event.source, answer);
      return await anyCaughtUp(subscribers.get(event.source) ?? []);
    };
    // Answered beside the call, which has a deadline. A failure ends the streams, after which sources ask again.
    options.answerResync(deliver, event.source, held).catch((error) => {
      options.log.error("cannot answer a status resync", { source: event.source, error });
      for (const one of subscribers.get(event.source) ?? []) one.restart("the resync failed");
    });
  };

  const enter = (call: Call) => options.authenticate(call.header("authorization"));

  const receive = async (message: Uint8Array, call: Call) => {
    await enter(call);
    const event = decodePublishRequest(message);
    const type = parseEventType(event.type);
    if (type.action === ACTION.resyncRequest) resync(event);
    else await accept(options.acceptor, event, type);
  };

  const subscribe = async (message: Uint8Array, stream: ResponseStream, call: Call) => {
    await enter(call);
    const { source } = decodeSubscription(message);
    await options.beforeSubscribe();
    if (stream.isClosed) return;
    const subscriber = createSubscriber(stream, {
      heartbeatMs: options.heartbeatMs,
      waitingMax: WAITING_MAX,
    });
    const group = subscribers.get(source) ?? new Set();
    subscribers.set(source, group.add(subscriber));
    stream.onClose(() => {
      group.delete(subscriber);
      if (group.size === 0 && subscribers.get(source) === group) subscribers.delete(source);
    });
  };

  return {
    methods: {
      unary: {
        [PUBLISH]: (message, call) => receive(message, call).then(() => NO_CONTENT, refuse),
      },
      streaming: {
        [SUBSCRIBE]: (message, stream, call) => subscribe(message, stream, call).catch(refuse),
      },
    },
    sources: () => [...subscribers.keys()],
    broadcast,
  };
}

function refuse(error: unknown): Promise<never> {
  return Promise.reject(refuseSourceInput(error));
}

async function accept(acceptor: Acceptor, event: CloudEvent, type: EventType): Promise<void> {
  const change = readSpecChange(event, type);
  try {
    await change.accept(acceptor);
  } catch (error) {
    throw refuseSource(error, change.nameFailure(error));
  }
}

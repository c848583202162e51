/** The gRPC door for sources: specs come in, statuses go out. */

import type { Caller } from "../access/caller.ts";
import { rightsOf } from "../access/rights.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Acceptor } from "../spec/accept.ts";
import { readSpecChange } from "../spec/change.ts";
import type { Asking } from "../status/resync.ts";
import type { CloudEvent } from "../wire/event.ts";
import { ACTION, type EventType, parseEventType } from "../wire/event_type.ts";
import { decodePublishRequest, decodeSubscription } from "../wire/protobuf.ts";
import { decodeStatusResync, type HeldStatus, resyncSubject } from "../wire/resync.ts";
import { GrpcError, refuseSource, refuseSourceInput, STATUS } from "./errors.ts";
import { PUBLISH, SUBSCRIBE } from "./paths.ts";
import type { Call, Methods } from "./call.ts";
import type { ResponseStream } from "./response.ts";
import { createRounds, type Rounds } from "./rounds.ts";
import { createSourceFollower, type Follow } from "./source_follower.ts";
import { anyCaughtUp, createHeartbeats, createSubscriber, type Subscriber } from "./subscriber.ts";

export interface SourceDoorOptions {
  acceptor: Acceptor;
  /** Who calls; nobody is asked if undefined. Throws `unauthenticated` unless the caller may enter. */
  authenticate: (authorization: string | undefined) => Promise<Caller | undefined>;
  /** Sends the statuses of a source that differ from what it holds. */
  answerResync: (
    asking: Asking,
    request: { source: string; dataType: string; held: HeldStatus[] },
  ) => Promise<void>;
  /** Calls back when a subscriber may enter, so that it misses nothing from then on and is told nothing of before. */
  letIn: (enter: () => void) => Promise<void>;
  /** Prepares to tell a subscriber what comes after its cursor. */
  follow: Follow;
  /** Time between heartbeats; undefined for none. */
  heartbeatMs: number | undefined;
  log: Logger;
}

export interface SourceDoor {
  methods: Methods;
  /** By which its heartbeats go, for pings that go with them. */
  rounds: Rounds;
  /** The sources that somebody subscribes to. */
  sources(): string[];
  /** Tells the subscribers of a source. */
  broadcast(source: string, event: CloudEvent): void;
  /** Ends all streams, since something may be missing, so that sources come back and ask. */
  restart(reason: string): void;
}

interface Listener {
  subscriber: Subscriber;
  connection: symbol;
  /** Set if it follows the feed by itself: resolves when it has caught up with the others. */
  following?: Promise<void>;
}

/** Resources that may wait for a slow source before its stream is ended. */
const WAITING_MAX = 10_000;
/** Ours: a source that sends it, with a cursor or empty, is told cursors. */
const CURSOR_HEADER = "maestro-cursor";
const NO_CONTENT = new Uint8Array();

/** Makes the methods of the door. */
export function createSourceDoor(options: SourceDoorOptions): SourceDoor {
  const listeners = new Map<string, Set<Listener>>();
  const rounds = createRounds();
  const heartbeats = createHeartbeats(rounds, options.heartbeatMs);

  const broadcast = (source: string, event: CloudEvent) => {
    for (const { subscriber, following } of listeners.get(source) ?? []) {
      if (following === undefined) subscriber.push(event);
    }
  };

  /** Those who asked, or all of the source if it asks over another connection than it listens on. */
  const answering = (source: string, connection: symbol): () => Listener[] => {
    const all = () => [...listeners.get(source) ?? []];
    const own = all().filter((one) => one.connection === connection);
    return () => own.length > 0 ? own : all();
  };

  const resync = (event: CloudEvent, { dataType, subresource }: EventType, call: Call) => {
    if (resyncSubject(event.data, subresource) !== "status") {
      throw new GrpcError(STATUS.unknown, `unsupported event type ${event.type}`);
    }
    const { source } = event;
    const held = decodeStatusResync(event.data);
    const asking = answering(source, call.connection);
    const answer = async () => {
      // Whoever still catches up reads by itself, and could be told an older state after the answer.
      await Promise.all(asking().map(({ following }) => following));
      await options.answerResync({
        tell: (answered) => asking().forEach(({ subscriber }) => subscriber.push(answered)),
        caughtUp: () => anyCaughtUp(asking().map(({ subscriber }) => subscriber)),
      }, { source, dataType, held });
    };
    // Answered beside the call, which has a deadline. A failure ends the streams, after which sources ask again.
    answer().catch((error) => {
      options.log.error("cannot answer a status resync", { source, error });
      for (const { subscriber } of asking()) subscriber.restart("the resync failed");
    });
  };

  const enter = (call: Call) => options.authenticate(call.header("authorization"));

  const receive = async (message: Uint8Array, call: Call) => {
    const caller = await enter(call);
    const event = decodePublishRequest(message);
    const type = parseEventType(event.type);
    // Like all reading, a resync is free to whoever has come in.
    if (type.action === ACTION.resyncRequest) return resync(event, type, call);
    refuseForeign(caller, event.source, options.log);
    await accept(options.acceptor, event, type);
  };

  const enlist = (source: string, stream: ResponseStream, listener: Listener) => {
    const group = listeners.get(source) ?? new Set();
    listeners.set(source, group.add(listener));
    stream.onClose(() => {
      group.delete(listener);
      if (group.size === 0 && listeners.get(source) === group) listeners.delete(source);
    });
  };

  const subscribe = async (message: Uint8Array, stream: ResponseStream, call: Call) => {
    await enter(call);
    const { source } = decodeSubscription(message);
    const { connection } = call;
    const limits = { heartbeats, connection, waitingMax: WAITING_MAX };
    const cursor = call.header(CURSOR_HEADER);
    if (cursor !== undefined) {
      const follower = createSourceFollower(source);
      const { from, run, leave } = await options.follow(
        follower,
        cursor === "" ? undefined : cursor,
      );
      if (stream.isClosed) return;
      const subscriber = createSubscriber(stream, { ...limits, cursor: from });
      follower.start(subscriber);
      stream.onClose(() => leave());
      const following = run().catch((error) => {
        options.log.warn("a source has to subscribe again", { source, error });
        subscriber.restart("the feed cannot be read: subscribe again");
      });
      enlist(source, stream, { subscriber, connection, following });
      return;
    }
    await options.letIn(() => {
      if (stream.isClosed) return;
      const subscriber = createSubscriber(stream, limits);
      enlist(source, stream, { subscriber, connection });
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
    rounds,
    sources: () => [...listeners.keys()],
    broadcast,
    restart(reason) {
      for (const group of [...listeners.values()]) {
        for (const { subscriber, following } of [...group]) {
          if (following === undefined) subscriber.restart(`${reason}; subscribe again and resync`);
        }
      }
    },
  };
}

function refuse(error: unknown): Promise<never> {
  return Promise.reject(refuseSourceInput(error));
}

/** Throws `permission_denied` if the caller may not change what this source has, in the words of the Go server. */
function refuseForeign(caller: Caller | undefined, source: string, log: Logger): void {
  const rights = rightsOf(caller);
  if (rights.mayChange === "everything") return;
  if (rights.mayChange === "own" && rights.source === source) return;
  const may = rights.mayChange === "own"
    ? `change only resources of source "${rights.source}"`
    : "only look";
  log.info("refused an event of a source", { source, caller: caller?.name });
  const reason = `unauthorized to publish the event from source ${source}`;
  throw new MaestroError("permission_denied", `${reason}: "${caller?.name}" may ${may}`);
}

async function accept(acceptor: Acceptor, event: CloudEvent, type: EventType): Promise<void> {
  const change = readSpecChange(event, type);
  try {
    await change.accept(acceptor);
  } catch (error) {
    throw refuseSource(error, change.nameFailure(error));
  }
}

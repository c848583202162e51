/** The gRPC door for sources: specs come in, statuses go out. */

import type { Acceptor } from "../spec/accept.ts";
import { validateBundle } from "../spec/validate.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { dns1123SubdomainErrors } from "../kube_names.ts";
import {
  type CloudEvent,
  EXT,
  integerExtension,
  MANIFEST_BUNDLES,
  optionalStringExtension,
  stringExtension,
  timeExtension,
} from "../wire/event.ts";
import { ACTION, type EventType, parseEventType } from "../wire/event_type.ts";
import { decodePublishRequest, decodeSubscription } from "../wire/protobuf.ts";
import { decodeStatusResync, type HeldStatus } from "../wire/resync.ts";
import { parseBundleSpec } from "../wire/work_spec.ts";
import { GrpcError, refuseSource, refuseSourceInput, STATUS } from "./errors.ts";
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
/** The AppliedManifestWork is named `<64 hex>-<id>`, and Kubernetes names have at most 253 characters. */
const ID_LENGTH_MAX = 188;

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
  const verb = VERBS[type.action];
  if (verb === undefined || type.subresource !== "spec") {
    throw new GrpcError(STATUS.unknown, `unsupported action ${type.action}`);
  }
  const target = readTarget(event, type);
  try {
    await verb.run(acceptor, event, target);
  } catch (error) {
    throw refuseSource(error, verb.name(error));
  }
}

interface Target {
  id: string;
  consumerName: string;
  version: number;
}

function readTarget(event: CloudEvent, type: EventType): Target {
  try {
    if (type.dataType !== MANIFEST_BUNDLES) {
      throw new MaestroError("invalid_argument", `the data type must be "${MANIFEST_BUNDLES}"`);
    }
    timeExtension(event, EXT.deletionTimestamp);
    const version = integerExtension(event, EXT.resourceVersion);
    if (version < 0) {
      throw new MaestroError("invalid_argument", "resourceversion must not be negative");
    }
    return {
      id: stringExtension(event, EXT.resourceId),
      consumerName: stringExtension(event, EXT.clusterName),
      version,
    };
  } catch (error) {
    const prefix = "failed to decode cloudevent: ";
    if (!(error instanceof MaestroError)) throw error;
    throw refuseSourceInput(new MaestroError(error.code, prefix + error.message, { cause: error }));
  }
}

interface Verb {
  /** What failed, as the Go server words it. */
  name: (error: unknown) => string;
  run: (acceptor: Acceptor, event: CloudEvent, target: Target) => Promise<unknown>;
}

const VERBS: Record<string, Verb> = {
  [ACTION.create]: {
    name: () => "create resource",
    run: (acceptor, event, { id, consumerName, version }) => {
      const given = id === "" ? crypto.randomUUID() : id;
      checkId(given);
      return acceptor.create({
        ...readSpec(event, { isUpdate: false }),
        id: given,
        name: given,
        source: event.source,
        consumerName,
        type: "Bundle",
        version: version === 0 ? 1 : version,
      });
    },
  },
  [ACTION.update]: {
    name: (error) =>
      error instanceof MaestroError && error.code === "not_found"
        ? "get resource"
        : "update resource",
    run: (acceptor, event, { id, version }) =>
      acceptor.update({
        ...readSpec(event, { isUpdate: true }),
        id,
        source: event.source,
        version,
      }),
  },
  [ACTION.delete]: {
    name: () => "delete resource",
    run: (acceptor, event, { id }) => acceptor.delete({ id, source: event.source }),
  },
};

function readSpec(event: CloudEvent, options: { isUpdate: boolean }) {
  const spec = event.data === undefined ? undefined : parseBundleSpec(event.data);
  validateBundle(spec, options);
  return {
    spec: event.data ?? "{}",
    metadata: optionalStringExtension(event, EXT.metadata),
    event,
  };
}

function checkId(id: string): void {
  const errors = dns1123SubdomainErrors(id);
  if (id.length > ID_LENGTH_MAX) errors.push(`must be no more than ${ID_LENGTH_MAX} characters`);
  if (errors.length === 0) return;
  throw new MaestroError(
    "invalid_argument",
    `Cannot create resource "${id.slice(0, 200)}": the id ${errors.join(", ")}`,
  );
}

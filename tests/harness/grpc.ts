/** A small gRPC client over the official library: bytes and events, nothing that a door of ours would hide. */

import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import {
  type CloudEvent,
  EXT,
  HEARTBEAT_TYPE,
  MANIFEST_BUNDLES,
} from "../../src/lib/wire/event.ts";
import {
  decodeEvent,
  encodePublishRequest,
  encodeSubscription,
} from "../../src/lib/wire/protobuf.ts";
import { eventually } from "./eventually.ts";

/** How a call ended that did not succeed. */
export interface Refusal {
  code: number;
  details: string;
}

export interface CallOptions {
  /** The value of the authorization header. */
  authorization?: string;
  timeoutMs?: number;
  /** Sends the request compressed. */
  gzip?: boolean;
  /** The value of the header by which a source keeps a cursor. */
  cursor?: string;
  /** Speaks TLS with servers whose certificate comes from this authority (PEM). */
  ca?: string;
}

export interface Subscription extends AsyncDisposable {
  /** Everything but heartbeats, in order. */
  events: CloudEvent[];
  heartbeats: number;
  /** The last cursor, of an event or a heartbeat. */
  cursor: string | undefined;
  /** The value of the header that clients wait for. */
  subscriptionId: string;
  /** How many events had come when the headers came. */
  eventsBeforeHeaders: number;
  /** Resolves with the first event that the predicate accepts. */
  waitFor(
    predicate: (event: CloudEvent) => boolean,
    options?: { timeoutMs?: number },
  ): Promise<CloudEvent>;
  /** Publishes over the same connection. Rejects with a `Refusal`. */
  publish(event: CloudEvent): Promise<void>;
  /** Stops reading, as a slow peer does. */
  pause(): void;
  resume(): void;
  /** Resolves when the server has ended the stream. */
  ended: Promise<Refusal>;
  close(): void;
}

const PUBLISH_TIMEOUT_MS = 20_000;
const SUBSCRIBE_TIMEOUT_MS = 20_000;
const LARGE_BYTES = 64 * 1024 * 1024;
/** What the library calls gzip. */
const GZIP = 2;

/** Publishes an event. Rejects with a `Refusal`. */
export function publish(address: string, event: CloudEvent, options?: CallOptions): Promise<void> {
  return callUnary(address, PUBLISH, encodePublishRequest(event), options);
}

/** Publishes an event that is to be refused, and resolves to how. */
export async function refusal(
  address: string,
  event: CloudEvent,
  options?: CallOptions,
): Promise<Refusal> {
  return await refused(publish(address, event, options));
}

/** Turns the failure of a call into its result. */
export async function refused(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const { code, details } = error as Refusal;
    return { code, details };
  }
  throw new Error("The call succeeded");
}

/** Calls a unary method with these bytes. */
export async function callUnary(
  address: string,
  path: string,
  message: Uint8Array,
  options: CallOptions = {},
): Promise<void> {
  const client = openClient(address, options);
  try {
    await callOver(client, path, message, options);
  } finally {
    client.close();
  }
}

function callOver(
  client: Client,
  path: string,
  message: Uint8Array,
  options: CallOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      (bytes: Uint8Array) => Buffer.from(bytes),
      () => undefined,
      message,
      metadataOf(options),
      { deadline: Date.now() + (options.timeoutMs ?? PUBLISH_TIMEOUT_MS) },
      (error) => error === null ? resolve() : reject(error),
    );
  });
}

/** A connection of its own for many publishes. */
export function openPublisher(address: string, options: CallOptions = {}): {
  publish(event: CloudEvent, options?: CallOptions): Promise<void>;
} & Disposable {
  const client = openClient(address, options);
  return {
    publish: (event, more = {}) =>
      callOver(client, PUBLISH, encodePublishRequest(event), { ...options, ...more }),
    [Symbol.dispose]: () => client.close(),
  };
}

/** Subscribes, and resolves when the server has sent its headers. Rejects with a `Refusal`. */
export async function subscribe(
  address: string,
  to: { source?: string; clusterName?: string; dataType?: string },
  options: CallOptions = {},
): Promise<Subscription> {
  const { source = "", clusterName = "", dataType = MANIFEST_BUNDLES } = to;
  const client = openClient(address, options);
  const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
    SUBSCRIBE,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => bytes,
    encodeSubscription({ source, clusterName, dataType }),
    metadataOf(options),
    {},
  );
  const events: CloudEvent[] = [];
  const ended = Promise.withResolvers<Refusal>();
  const headers = Promise.withResolvers<string>();
  let heartbeats = 0;
  let cursor: string | undefined;
  let eventsBeforeHeaders = 0;
  stream.on("data", (bytes: Buffer) => {
    const event = decodeEvent(bytes);
    const given = event.extensions[EXT.cursor];
    if (typeof given === "string") cursor = given;
    if (event.type === HEARTBEAT_TYPE) heartbeats++;
    else events.push(event);
  });
  stream.on("metadata", (metadata: Metadata) => {
    eventsBeforeHeaders = events.length;
    headers.resolve(String(metadata.get("subscription-id")[0] ?? ""));
  });
  // The status says the same and more.
  stream.on("error", (error: ServiceError) => headers.reject(error));
  stream.on("status", ({ code, details }: StatusObject) => {
    ended.resolve({ code, details });
    headers.reject({ code, details });
  });
  const close = () => {
    stream.cancel();
    client.close();
  };
  const timer = setTimeout(() => headers.reject(new Error("no headers")), SUBSCRIBE_TIMEOUT_MS);
  const subscriptionId = await headers.promise.finally(() => clearTimeout(timer))
    .catch((error) => {
      close();
      throw error;
    });
  return {
    events,
    get heartbeats() {
      return heartbeats;
    },
    get cursor() {
      return cursor;
    },
    subscriptionId,
    eventsBeforeHeaders,
    waitFor: async (predicate, { timeoutMs = 10_000 } = {}) => {
      const found = await eventually(() => events.find(predicate), Boolean, { timeoutMs });
      return found as CloudEvent;
    },
    publish: (event) => callOver(client, PUBLISH, encodePublishRequest(event), options),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    ended: ended.promise,
    close,
    async [Symbol.asyncDispose]() {
      close();
      await ended.promise;
    },
  };
}

function openClient(address: string, options: CallOptions): Client {
  const channel = options.ca === undefined
    ? credentials.createInsecure()
    : credentials.createSsl(Buffer.from(options.ca));
  return new Client(address, channel, {
    "grpc.max_receive_message_length": LARGE_BYTES,
    "grpc.max_send_message_length": LARGE_BYTES,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.initial_reconnect_backoff_ms": 50,
    ...(options.gzip ? { "grpc.default_compression_algorithm": GZIP } : {}),
  });
}

function metadataOf({ authorization, cursor }: CallOptions): Metadata {
  const metadata = new Metadata();
  if (cursor !== undefined) metadata.set("maestro-cursor", cursor);
  if (authorization !== undefined) metadata.set("authorization", authorization);
  return metadata;
}

/** Answers calls over Connect and gRPC-Web: their protocols are the library's, their limits and errors ours. */

import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { CloudEventService } from "../../../gen/cloudevent_pb.ts";
import { ConsumerService } from "../../../gen/maestro/v1/consumer_pb.ts";
import { ResourceBundleService } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import type { Db } from "../../db/connect.ts";
import { MaestroError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { ResourceWriter } from "../../spec/write.ts";
import { BODY_BYTES_MAX } from "../body.ts";
import type { Watchers } from "../watch.ts";
import { createBundleCalls } from "./bundles.ts";
import { CALLER } from "./call.ts";
import { type CloudEventDoor, createCloudEventCalls } from "./cloud_events.ts";
import { createConsumerCalls } from "./consumers.ts";
import { toConnectError } from "./errors.ts";
import { GZIP } from "./gzip.ts";
import type { CallAnswer, Calls } from "./routes.ts";

export interface ConnectParts {
  db: Db;
  writer: ResourceWriter;
  log: Logger;
  /** Without it nothing can be watched. */
  watchers: Watchers | undefined;
  /** What sources are served by; undefined if they are not served here. */
  cloudEvents: CloudEventDoor | undefined;
  /** How long a call may take that is no stream. */
  requestTimeoutMs: number;
}

/** Makes what answers calls. */
export function createCalls(parts: ConnectParts): Calls {
  const { db, cloudEvents, watchers } = parts;
  const router = createConnectRouter({
    // Plain gRPC needs trailers, which this port cannot send; it has ports of its own.
    grpc: false,
    readMaxBytes: BODY_BYTES_MAX,
    // As on REST: a mistyped name must not pass for something that was left out.
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: [GZIP],
    // Never: it costs eight times the throughput.
    compressMinBytes: Number.MAX_SAFE_INTEGER,
    // Asked before the request is read.
    requestGate: async ({ values }) => {
      await values.get(CALLER).enter().catch((error) => {
        throw toConnectError(error);
      });
    },
    interceptors: [explainErrors(parts.log), limitTime(parts.requestTimeoutMs)],
  });
  router.service(ResourceBundleService, createBundleCalls(parts));
  router.service(ConsumerService, createConsumerCalls(db));
  if (cloudEvents !== undefined) {
    router.service(CloudEventService, createCloudEventCalls(cloudEvents, watchers));
  }
  const methods = new Map(router.handlers.map((method) => [method.requestPath, method]));
  return (request, call) => answer(methods.get(new URL(request.url).pathname), request, call);
}

async function answer(
  method: UniversalHandler | undefined,
  request: Request,
  { alive, ...call }: Parameters<Calls>[1],
): Promise<CallAnswer> {
  if (method === undefined) return { status: 404, headers: [], body: new Uint8Array() };
  const gone = new AbortController();
  const answered = await method({
    httpVersion: "",
    method: request.method,
    url: request.url,
    header: request.headers,
    body: request.body ?? toBody([]),
    signal: gone.signal,
    contextValues: createContextValues().set(CALLER, call),
  });
  const { status, header } = answered;
  const isWhole = method.method.methodKind === "unary" || answered.body === undefined;
  const cancelled = () => gone.abort(new ConnectError("the client is gone", Code.Canceled));
  const body = isWhole ? await readAll(answered) : toStream(answered, { alive, cancelled });
  return { status, headers: header ?? [], body };
}

async function* toBody(chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function readAll({ body }: UniversalServerResponse): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/**
 * The library's own conversion waits for the next message before it notices that nobody reads any more, which on a quiet
 * watch is never. Here the call is told.
 */
function toStream(
  { body }: UniversalServerResponse,
  { alive, cancelled }: { alive: () => void; cancelled: () => void },
): ReadableStream<Uint8Array> {
  const chunks = (body ?? toBody([]))[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      alive();
      const next = await chunks.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: cancelled,
  }, { highWaterMark: 0 });
}

/** Gives every error its code, and logs those that callers can do nothing about. */
function explainErrors(log: Logger): Interceptor {
  return (next) => async (request) => {
    const { operationId } = request.contextValues.get(CALLER);
    const explain = (thrown: unknown) => {
      const error = toConnectError(thrown);
      const call = `${request.service.typeName}/${request.method.name}`;
      const level = error.code === Code.Internal
        ? "error"
        : error.code === Code.Unavailable
        ? "warn"
        : "debug";
      log[level]("refused a call", { call, error: thrown, operation_id: operationId });
      return error;
    };
    try {
      if (!request.stream) refuseNul(request.message);
      const answered = await next(request);
      if (!answered.stream) return answered;
      return { ...answered, message: explainEach(answered.message, explain) };
    } catch (error) {
      throw explain(error);
    }
  };
}

async function* explainEach<Message>(
  messages: AsyncIterable<Message>,
  explain: (thrown: unknown) => Error,
): AsyncGenerator<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw explain(error);
  }
}

/** No text that PostgreSQL keeps may have it. */
function refuseNul(message: object): void {
  for (const [name, value] of Object.entries(message)) {
    for (const text of [value].flat()) {
      if (typeof text !== "string" || !text.includes("\0")) continue;
      throw new MaestroError("invalid_argument", `${name} must not contain \\u0000`);
    }
  }
}

/** A call that is no stream is answered in time, that of the client or ours. */
function limitTime(timeoutMs: number): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return await next(request);
    const { signal } = request;
    const late = Promise.withResolvers<never>();
    const giveUp = () => late.reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    const timer = setTimeout(() => {
      const message = `Cannot answer within ${timeoutMs} ms; a change may still take effect`;
      late.reject(new MaestroError("unavailable", message));
    }, timeoutMs);
    try {
      return await Promise.race([next(request), late.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
    }
  };
}

/** From a request to a call, and from what it yields to an answer. */

import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { TIMER_MS_MAX } from "../../call_at.ts";
import { CALLER, type CallParts } from "./call.ts";
import type { CallAnswer, CallRequest } from "./routes.ts";

/** Answers a request by a method. */
export async function answerCall(
  method: UniversalHandler,
  { request, path: _, alive, ...call }: CallRequest,
): Promise<CallAnswer> {
  const { received, ...caller } = await receive(call);
  const gone = new AbortController();
  const answered = await method({
    httpVersion: "",
    method: request.method,
    url: request.url,
    header: withinTimers(request.headers),
    body: toBody([received]),
    signal: gone.signal,
    contextValues: createContextValues().set(CALLER, caller),
  });
  const { status, header } = answered;
  const isWhole = method.method.methodKind === "unary" || answered.body === undefined;
  const cancelled = () => gone.abort(new ConnectError("the client is gone", Code.Canceled));
  const body = isWhole ? await readAll(answered) : toStream(answered, { alive, cancelled });
  return { status, headers: header ?? [], body };
}

const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000 };

/** Without a deadline that no timer takes: the library would find it over at once. */
function withinTimers(given: Headers): Headers {
  const [, connect = "0"] = /^(\d{1,10})$/.exec(given.get("connect-timeout-ms") ?? "") ?? [];
  const [, grpc = "0", unit = ""] = /^(\d{1,8})([HMS])$/.exec(given.get("grpc-timeout") ?? "") ??
    [];
  const headers = new Headers(given);
  if (Number(connect) > TIMER_MS_MAX) headers.delete("connect-timeout-ms");
  if (Number(grpc) * (UNIT_MS[unit] ?? 0) > TIMER_MS_MAX) headers.delete("grpc-timeout");
  return headers;
}

/**
 * Lets the caller in and reads what it sends, to its end: a client that is still sending may never see an answer. Who may
 * not come in is not read. What is wrong is told by the call itself, in the words of its protocol.
 */
async function receive(
  { enter, read, ...call }: Omit<CallRequest, "request" | "path" | "alive">,
): Promise<CallParts & { received: Uint8Array }> {
  try {
    const caller = await enter();
    return { ...call, ...caller, received: await read() };
  } catch (refusal) {
    return { ...call, refusal, received: new Uint8Array() };
  }
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

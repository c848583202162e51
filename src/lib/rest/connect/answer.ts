/** From a request to a call, and from what it yields to an answer. */

import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
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
    header: request.headers,
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

/** What surrounds every call: its errors get their codes, and it takes no longer than it may. */

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError, type ContextValues, type Interceptor } from "@connectrpc/connect";
import { MaestroError } from "../../errors.ts";
import { CALLER } from "./call.ts";
import { toConnectError } from "./errors.ts";

/** How loudly a refusal is told; the others are the caller's own business. */
const LEVELS: Partial<Record<Code, "error" | "warn" | "info">> = {
  [Code.Internal]: "error",
  [Code.Unavailable]: "warn",
  [Code.PermissionDenied]: "info",
};

/** Gives an error its code, and logs it: over some protocols the status of the answer does not show it. */
export function explainError(
  method: DescMethod,
  values: ContextValues,
): (thrown: unknown) => ConnectError {
  const { log, caller } = values.get(CALLER);
  const call = `${method.parent.typeName}/${method.name}`;
  return (thrown) => {
    const error = toConnectError(thrown);
    const level = LEVELS[error.code] ?? "debug";
    log?.[level]("refused a call", { call, error: thrown, caller });
    return error;
  };
}

/** Does so with whatever a call throws. */
export function explainErrors(): Interceptor {
  return (next) => async (request) => {
    const explain = explainError(request.method, request.contextValues);
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
export function limitTime(timeoutMs: number): Interceptor {
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

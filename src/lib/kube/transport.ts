/** Sends one request to a Kubernetes API: credentials, trust, pace, time-out, and a second try where that is safe. */

import { createGarbageLimit } from "../garbage.ts";
import { isObject, type JsonObject, parseJson } from "../json.ts";
import { type KubeCall, KubeError } from "../work/kube_api.ts";
import type { Credentials, KubeAccess } from "./access.ts";
import { abandoned, overdue, refusalOf, unreachable } from "./refusal.ts";
import { createTokenBucket, type Lane } from "./token_bucket.ts";

export interface KubeOptions {
  /** How long one call may take, its body included; 30 s unless given. */
  timeoutMs?: number;
  /** Calls a second, and how many may come at once; 50 and 100 unless given. */
  qps?: number;
  burst?: number;
  /** Names us in the server's audit log. */
  userAgent?: string;
  /** Ends all calls and watches. */
  signal?: AbortSignal;
  /** Asked before each change: why it may not be made. Undefined if it may. */
  refusal?: () => string | undefined;
  /** Told how each call ended. */
  observe?: (call: KubeCall) => void;
}

export interface KubeRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its leading slash, encoded. */
  path: string;
  /** Members that are undefined or empty are left out. */
  query?: Record<string, string | undefined>;
  body?: JsonObject;
  contentType?: string;
  accept?: string;
  /** In whose name, if not in our own. */
  asUser?: string | undefined;
}

export interface Transport {
  readonly server: string;
  /** Sends the request and reads the whole answer. Throws a `KubeError` for whatever is not a success. */
  send(request: KubeRequest): Promise<JsonObject>;
  /** Sends the request and returns the body as it comes, until `signal` aborts, which it must in the end. */
  stream(request: KubeRequest, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

/** How often a call is tried when the server says "later". Beyond that the caller's own loop is the better place. */
const ATTEMPTS_MAX = 4;
/** The longest pause that a server may ask of us at once. */
const RETRY_AFTER_MS_MAX = 10_000;

/** What a call leaves behind beside its answer: its promises, listeners and bodies. */
const CALL_BYTES = 16 * 1024;
/** Some hundred calls. Without it an agent that applies a thousand works takes 15 MB more. */
const GARBAGE_BYTES = 2 * 1024 * 1024;

/** Opens the road to one API server. Nothing is sent yet. */
export function openTransport(access: KubeAccess, options: KubeOptions = {}): Transport {
  const { server } = access;
  const { timeoutMs = 30_000, userAgent = "maestro", signal: lifetime, observe } = options;
  const pace = createTokenBucket({
    ratePerSecond: options.qps ?? 50,
    burst: options.burst ?? 100,
  });

  const garbage = createGarbageLimit(GARBAGE_BYTES);
  let isDoubtful = false;
  const readCa = async () => {
    const { ca, readCa } = access.trust;
    // While a file is replaced it may be missing: the next call reads it again.
    return await readCa?.(isDoubtful ? "again" : undefined).catch(() => ca) ?? ca;
  };

  const once = async (request: KubeRequest, known: Credentials, signal: AbortSignal) => {
    const ca = await readCa();
    const answer = fetch(server + request.path + queryText(request.query), {
      method: request.method,
      headers: headersOf(request, known, userAgent),
      signal,
      // A redirect could carry our token to somebody else.
      redirect: "error",
      // Ours is the only clock: a quiet watch is not a broken one.
      timeout: false,
      tls: {
        rejectUnauthorized: !access.trust.isInsecure,
        ...(ca === undefined ? {} : { ca }),
        ...(access.trust.serverName === undefined ? {} : { serverName: access.trust.serverName }),
        ...known.certificate,
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    // After a failure it is not known whether the server has got another authority.
    isDoubtful = await answer.then(() => false, () => true);
    return await answer;
  };

  /** A request that was turned down for its credentials has not been carried out: it may be sent again. */
  const authenticated = async (request: KubeRequest, signal: AbortSignal) => {
    const { method } = request;
    const counted = async (known: Credentials) => {
      const response = await once(request, known, signal);
      observe?.({ method, code: response.status });
      return response;
    };
    const known = await access.credentials();
    const response = await counted(known);
    if (response.status !== 401) return response;
    const renewed = await access.credentials(known);
    if (Bun.deepEquals(renewed, known)) return response;
    await response.body?.cancel();
    return await counted(renewed);
  };

  /** Runs one exchange under the time-out; `signal` is a second way to end it. */
  const limited = async <T>(
    { method }: KubeRequest,
    signal: AbortSignal | undefined,
    exchange: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const call = new AbortController();
    const timer = setTimeout(() => call.abort(overdue(server, timeoutMs)), timeoutMs);
    const release = follow(call, server, [lifetime, signal]);
    try {
      return await exchange(call.signal);
    } catch (thrown) {
      const failure = unreachable(server, call.signal.aborted ? call.signal.reason : thrown);
      if (failure.status === 0) observe?.({ method, code: 0, failure });
      throw failure;
    } finally {
      clearTimeout(timer);
      release();
    }
  };

  const turn = async (lane: Lane, signal?: AbortSignal) => {
    if (!lifetime?.aborted && !signal?.aborted && pace.tryTake()) return;
    const waiting = new AbortController();
    const release = follow(waiting, server, [lifetime, signal]);
    try {
      await pace.take(waiting.signal, lane);
    } finally {
      release();
    }
  };

  return {
    server,
    async send(request) {
      for (let attempt = 1;; attempt++) {
        await turn("call");
        const reason = request.method === "GET" ? undefined : options.refusal?.();
        if (reason !== undefined) {
          throw new KubeError(0, "Aborted", `Cannot change anything at "${server}": ${reason}`);
        }
        const { status, text, retryAfterMs } = await limited(request, undefined, async (signal) => {
          const response = await authenticated(request, signal);
          return {
            status: response.status,
            text: await response.text(),
            retryAfterMs: retryAfterOf(response),
          };
        });
        garbage.add(CALL_BYTES + text.length);
        if (status < 300) return parseAnswer(text, status);
        // Whoever else wants something waits as well: more calls are what the server cannot take now.
        if (retryAfterMs !== undefined) pace.hold(retryAfterMs);
        // What is refused for its number was not carried out; after any other failure that is true of reads only.
        const mayTryAgain = retryAfterMs !== undefined &&
          (status === 429 || request.method === "GET");
        if (!mayTryAgain || attempt === ATTEMPTS_MAX) throw refusalOf(status, text);
      }
    },
    async stream(request, signal) {
      await turn("watch", signal);
      return await limited(request, signal, async (call) => {
        // The call's own signal ends with its time-out; the stream goes on until `signal` or `lifetime`.
        const streaming = new AbortController();
        const release = follow(streaming, server, [call]);
        const response = await authenticated(request, streaming.signal);
        if (response.status >= 300) {
          const retryAfterMs = retryAfterOf(response);
          if (retryAfterMs !== undefined) pace.hold(retryAfterMs);
          throw refusalOf(response.status, await response.text());
        }
        release();
        const undo = follow(streaming, server, [lifetime, signal]);
        signal.addEventListener("abort", undo, { once: true });
        return response.body ?? new ReadableStream();
      });
    },
  };
}

/** Aborts `controller` when one of the signals does. Returns what takes the listeners off again. */
function follow(
  controller: AbortController,
  server: string,
  signals: readonly (AbortSignal | undefined)[],
): () => void {
  const undo: (() => void)[] = [];
  for (const signal of signals) {
    if (signal === undefined) continue;
    const end = () =>
      controller.abort(signal.reason instanceof KubeError ? signal.reason : abandoned(server));
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    undo.push(() => signal.removeEventListener("abort", end));
  }
  return () => undo.forEach((each) => each());
}

function headersOf(
  request: KubeRequest,
  credentials: Credentials,
  userAgent: string,
): Record<string, string> {
  return {
    accept: request.accept ?? "application/json",
    "user-agent": userAgent,
    ...(request.body ? { "content-type": request.contentType ?? "application/json" } : {}),
    ...(request.asUser ? { "impersonate-user": request.asUser } : {}),
    ...(credentials.authorization ? { authorization: credentials.authorization } : {}),
  };
}

function queryText(query: KubeRequest["query"] = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/** What the server asks us to wait; a server in trouble says so with 429, or with 5xx and this header. */
function retryAfterOf(response: Response): number | undefined {
  if (response.status !== 429 && response.status < 500) return undefined;
  const header = response.headers.get("retry-after") ?? "";
  if (!/^\d+$/.test(header)) return undefined;
  return Math.min(Number(header) * 1000, RETRY_AFTER_MS_MAX);
}

function parseAnswer(text: string, status: number): JsonObject {
  let answer: unknown;
  try {
    answer = parseJson(text);
  } catch (cause) {
    throw new KubeError(status, "InvalidAnswer", "The answer of Kubernetes is not JSON", { cause });
  }
  if (isObject(answer)) return answer;
  throw new KubeError(status, "InvalidAnswer", "The answer of Kubernetes is not a JSON object");
}

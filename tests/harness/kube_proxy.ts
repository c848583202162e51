/** Stands before a real Kubernetes API server and answers some calls itself, as one in trouble would. */

/** Ends open connections, too. */
const AT_ONCE = true;
const UNREACHABLE = { status: 502, reason: "BadGateway" };

/** One call, as far as faults depend on it. */
export interface KubeCall {
  method: string;
  path: string;
  isWatch: boolean;
}

/**
 * What becomes of a call: an answer without the server, no answer at all (`hang`), or one that is lost on its way back
 * after the server has done its part (`lose`).
 */
export type KubeFault =
  | { status: number; reason: string; retryAfterSeconds?: number }
  | "hang"
  | "lose";

export interface KubeProxy extends AsyncDisposable {
  url: string;
  port: number;
  /** All calls so far, the oldest first, with the fault that hit them. */
  calls: (KubeCall & { fault: KubeFault | undefined })[];
  /** Decides about each call from now on. */
  decide: (call: KubeCall) => KubeFault | undefined;
  /** Ends all watches that are open. */
  endWatches(): void;
}

export interface KubeProxyOptions {
  port?: number;
  tls?: { cert: string; key: string };
}

/** Starts a proxy that carries everything until it is told otherwise. */
export function startKubeProxy(upstream: string, options: KubeProxyOptions = {}): KubeProxy {
  const watches = new Set<AbortController>();
  const hanging = Promise.withResolvers<Response>();
  const forward = async (request: Request, signal: AbortSignal) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers(request.headers);
    headers.delete("host");
    const body = ["GET", "HEAD"].includes(request.method) ? {} : { body: await request.bytes() };
    const { method } = request;
    const tls = { rejectUnauthorized: false };
    const given = { method, headers, ...body, signal, tls, timeout: false };
    const response = await fetch(upstream + pathname + search, given);
    const shown = new Headers(response.headers);
    // What arrives here is unpacked already.
    for (const name of ["content-encoding", "content-length"]) shown.delete(name);
    return new Response(carried(response.body), { status: response.status, headers: shown });
  };

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    idleTimeout: 0,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    async fetch(request) {
      const url = new URL(request.url);
      const isWatch = url.searchParams.has("watch");
      const call = { method: request.method, path: url.pathname + url.search, isWatch };
      const fault = proxy.decide(call);
      proxy.calls.push({ ...call, fault });
      if (fault === "hang") return await hanging.promise;
      if (fault !== undefined && fault !== "lose") return refusal(fault);
      const ending = new AbortController();
      if (isWatch) watches.add(ending);
      const signal = AbortSignal.any([request.signal, ending.signal]);
      // As a gateway says it: a watch that is ended before it has an answer has none to be ended.
      const response = await forward(request, signal).catch(() => refusal(UNREACHABLE));
      if (fault === undefined) return response;
      await response.body?.cancel();
      return await hanging.promise;
    },
  });
  const port = server.port ?? 0;
  const proxy: KubeProxy = {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    calls: [],
    decide: () => undefined,
    endWatches() {
      for (const ending of watches) ending.abort();
      watches.clear();
    },
    async [Symbol.asyncDispose]() {
      hanging.resolve(new Response(null, { status: 503 }));
      proxy.endWatches();
      await server.stop(AT_ONCE);
    },
  };
  return proxy;
}

/** The same bytes; a body that breaks off just ends. */
function carried(body: ReadableStream<Uint8Array> | null): ReadableStream<Uint8Array> | null {
  const reader = body?.getReader();
  if (reader === undefined) return null;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || value === undefined) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => reader.cancel(),
  });
}

function refusal({ status, reason, retryAfterSeconds }: Exclude<KubeFault, string>): Response {
  const body = {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: `the test says ${reason}`,
    reason,
    code: status,
  };
  const headers = retryAfterSeconds === undefined
    ? {}
    : { "retry-after": String(retryAfterSeconds) };
  return Response.json(body, { status, headers });
}

/** Where a request comes from, for those who follow it through logs: its operation, and its trace (W3C Trace Context). */

import type { RestContext } from "./routes.ts";

/** What ties log lines of several programs together. */
export interface Trace {
  traceparent: string;
  traceId: string;
  tracestate: string | undefined;
}

/** Peers copy what has this prefix from the `logtracing` extension into annotations, and from there into their logs. */
const PREFIX = "logging.open-cluster-management.io/";
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;

/** The trace that a request belongs to. One that is not well formed counts as none. */
export function readTrace(c: RestContext): Trace | undefined {
  const traceparent = c.req.header("traceparent")?.trim() ?? "";
  const traceId = TRACEPARENT.exec(traceparent)?.[1];
  if (traceId === undefined) return undefined;
  const tracestate = c.req.header("tracestate")?.trim();
  const isKept = tracestate !== undefined && TRACESTATE.test(tracestate);
  return { traceparent, traceId, tracestate: isKept ? tracestate : undefined };
}

/** The `logtracing` extension of what a request changes. */
export function formatLogTracing(operationId: string, trace: Trace | undefined): string {
  return JSON.stringify({
    [`${PREFIX}op-id`]: operationId,
    ...(trace && { [`${PREFIX}traceparent`]: trace.traceparent }),
    ...(trace?.tracestate !== undefined && { [`${PREFIX}tracestate`]: trace.tracestate }),
  });
}

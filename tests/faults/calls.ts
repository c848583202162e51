/** The calls of a source over gRPC and REST, each with one of three outcomes. */

import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { publish, type Refusal } from "../harness/grpc.ts";
import type { Outcome } from "./model.ts";

export interface Answered {
  outcome: Outcome;
  text: string;
  /** The id that REST gave. */
  id?: string;
}

const TIMEOUT_MS = 4_000;
/** What the doors of sources call a refusal; other codes leave open what happened. */
const UNKNOWN = 2;
const RESOURCE_EXHAUSTED = 8;
/** The library says so before it has sent anything. */
const NEVER_SENT = "No connection established";

/** Publishes over a connection of its own. */
export async function callGrpc(port: number, event: CloudEvent): Promise<Answered> {
  try {
    await publish(`127.0.0.1:${port}`, event, { timeoutMs: TIMEOUT_MS });
    return { outcome: "ok", text: "OK" };
  } catch (error) {
    const { code, details } = error as Refusal;
    const isRefused = code === UNKNOWN || code === RESOURCE_EXHAUSTED ||
      (details ?? "").startsWith(NEVER_SENT);
    return { outcome: isRefused ? "refused" : "unknown", text: `${code} ${details}` };
  }
}

/** Calls REST. */
export async function callRest(
  rest: string,
  method: string,
  path: string,
  body?: object,
): Promise<Answered> {
  try {
    const response = await fetch(`${rest}/api/maestro/v1/resources${path}`, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const outcome = response.ok ? "ok" : response.status < 500 ? "refused" : "unknown";
    const id = response.status === 201 ? (JSON.parse(text) as { id: string }).id : undefined;
    const answered = { outcome, text: `${response.status} ${text.slice(0, 200)}` } as const;
    return id === undefined ? answered : { ...answered, id };
  } catch (error) {
    return { outcome: "unknown", text: String(error) };
  }
}

/** What the end-to-end tests do over REST and in the cluster. */

import { isObject, type JsonObject, parseJson } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { refOf } from "../kube/objects.ts";

/** An answer; numbers that a double cannot hold are kept. */
export interface Answer {
  status: number;
  text: string;
  // deno-lint-ignore no-explicit-any
  body: any;
}

/** Where a server answers, and what it wants to hear first. */
export interface Door {
  rest: string;
  adminToken: string;
}

export const RESOURCES = "/api/maestro/v1/resources";
export const CONSUMERS = "/api/maestro/v1/consumers";

const CALL_TIMEOUT_MS = 30_000;
/** Two cores may be shared with other tests. */
export const PATIENCE = { timeoutMs: 45_000, intervalMs: 50 };

/** Sends one request; a text is sent as it is. */
export async function call(
  { rest, adminToken }: Door,
  method: string,
  path: string,
  body?: JsonObject | string,
): Promise<Answer> {
  const response = await fetch(rest + path, {
    method,
    headers: adminToken === "" ? {} : { Authorization: `Bearer ${adminToken}` },
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: text === "" ? undefined : parseJson(text) };
}

/** Creates a consumer that is new. */
export async function createConsumer(door: Door, name: string): Promise<void> {
  const { status, text } = await call(door, "POST", CONSUMERS, { name });
  if (status !== 201) throw new Error(`The consumer was answered by ${status}: ${text}`);
}

/** Posts a manifest and returns the id of its resource. */
export async function post(door: Door, consumer: string, manifest: JsonObject): Promise<string> {
  const { status, text, body } = await call(door, "POST", RESOURCES, {
    consumer_name: consumer,
    version: 1,
    manifest,
  });
  if (status !== 201) throw new Error(`The resource was answered by ${status}: ${text}`);
  return body.id;
}

/** Waits until an agent has reported what it applied of this version. */
export async function untilApplied(door: Door, id: string, version = 1): Promise<Answer> {
  return await eventually(
    () => call(door, "GET", `${RESOURCES}/${id}`),
    ({ body }) => isApplied(body?.status?.ReconcileStatus, version),
    PATIENCE,
  );
}

/** Waits until REST no longer knows a resource, which is when its agent has confirmed. */
export async function untilGone(door: Door, id: string): Promise<void> {
  const path = `${RESOURCES}/${id}`;
  await eventually(() => call(door, "GET", path), ({ status }) => status === 404, PATIENCE);
}

/** Waits until the cluster has, or has no more, an object of this name. */
export async function untilInCluster(
  kube: Kube,
  apiVersion: string,
  kind: string,
  name: string,
  until: (object: JsonObject | undefined) => boolean = isObject,
): Promise<JsonObject | undefined> {
  const ref = await refOf(kube, apiVersion, kind, name);
  return await eventually(() => kube.get(ref), until, PATIENCE);
}

interface ReconcileStatus {
  ObservedVersion: number;
  Conditions: { type: string; status: string; observedGeneration?: number }[] | null;
}

function isApplied(status: ReconcileStatus | undefined, version: number): boolean {
  return status?.ObservedVersion === version &&
    (status.Conditions ?? []).some((condition) =>
      condition.type === "Applied" && condition.status === "True" &&
      condition.observedGeneration === version
    );
}

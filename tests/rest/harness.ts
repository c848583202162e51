/** The REST door over a real database, called without a socket. */

import type { Authenticate } from "../../src/lib/access/caller.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Logger } from "../../src/lib/log.ts";
import { createMetrics, type Metrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import type { RequestLimits } from "../../src/lib/rest/limits.ts";
import type { ListOptions } from "../../src/lib/rest/list_door.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor, type SpecDoor } from "../../src/lib/spec/door.ts";
import { createDatabase, type TestDatabase, testLogger } from "../harness/postgres.ts";

/** An answer with its body both as text and parsed. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // deno-lint-ignore no-explicit-any
  body: any;
}

export interface RestHarness extends AsyncDisposable {
  app: ReturnType<typeof createRestApp>;
  database: TestDatabase;
  metrics: Metrics;
  /** Sends a request; an object becomes a JSON body, a text is sent as it is. */
  call(
    method: string,
    path: string,
    body?: JsonObject | string,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  /** Creates a consumer and returns its name. */
  consumer(): Promise<string>;
}

export const V1 = "/api/maestro/v1";

/** Opens the door; nobody needs a token unless `authenticate` is given. */
export async function openRest(
  options: {
    authenticate?: Authenticate;
    spec?: SpecDoor;
    log?: Logger;
    requestTimeoutMs?: number;
    bodyTimeoutMs?: number;
    limits?: RequestLimits;
    lists?: ListOptions;
    /** One that another harness has opened, and closes. */
    database?: TestDatabase;
  } = {},
): Promise<RestHarness> {
  const database = options.database ?? await createDatabase();
  const metrics = createMetrics();
  const app = createRestApp({
    db: database.db,
    spec: createSpecDoor(database.db, createAcceptor(database.db), testLogger()),
    log: testLogger(),
    metrics,
    ...options,
  });
  const call: RestHarness["call"] = async (method, path, body, headers = {}) => {
    const response = await app.request(path, {
      method,
      headers,
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === "" ? undefined : JSON.parse(text),
    };
  };
  return {
    app,
    database,
    metrics,
    call,
    async consumer() {
      const { body } = await call("POST", `${V1}/consumers`, {});
      return body.name;
    },
    async [Symbol.asyncDispose]() {
      if (options.database === undefined) await database[Symbol.asyncDispose]();
    },
  };
}

/** A door whose every change ends as the function says. */
export function specDoor(end: () => Promise<never>): SpecDoor {
  const writer = { create: end, apply: end, patch: end, delete: end };
  return { abandon: end, accept: end, writer };
}

/** What every request may bring, what it costs at most, and by what it is followed through logs. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { Caller } from "../../src/lib/access/caller.ts";
import { query } from "../../src/lib/db/query.ts";
import { serveRest } from "../../src/lib/rest/serve.ts";
import { specEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, specDoor, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

let rest: RestHarness;
let consumer: string;
const lines: string[] = [];
beforeAll(async () => {
  rest = await openRest({ log: testLogger((line) => lines.push(line)) });
  consumer = await rest.consumer();
});
afterAll(() => rest[Symbol.asyncDispose]());

const bundle = () => ({ consumer_name: consumer, manifests: [NGINX] });

test("an operation id is echoed in the header, in errors and in every log line, up to a length", async () => {
  const given = `op-${crypto.randomUUID()}`;
  const paths = [`${V1}/consumers`, `${BUNDLES}/missing`, "/nowhere", `${V1}/errors/0`];

  for (const path of paths) {
    const { headers, body, status } = await rest.call("GET", path, undefined, {
      "X-Operation-ID": given,
    });

    expect(headers.get("x-operation-id")).toBe(given);
    if (status >= 400) expect(body.operation_id).toBe(given);
  }
  const own = lines.map((line) => JSON.parse(line)).filter((line) => line.operation_id === given);
  expect(own.map((line) => line.path)).toEqual(paths);
  for (const bad of ["", "a b", "x".repeat(129)]) {
    const { headers } = await rest.call("GET", `${V1}/consumers`, undefined, {
      "X-Operation-ID": bad,
    });
    expect(headers.get("x-operation-id")).toMatch(/^[0-9A-Za-z]{27}$/);
  }
});

test("the trace of a request is in its log line, and goes on to the agent with what it changes", async () => {
  const headers = { "X-Operation-ID": "op-1", traceparent: TRACEPARENT, tracestate: "a=b" };
  const { body } = await rest.call("POST", BUNDLES, bundle(), headers);
  const malformed = await rest.call("POST", BUNDLES, bundle(), {
    traceparent: TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
  });

  const tracingOf = async (id: string) => {
    const text = "select spec_event ->> 'logtracing' as tracing from resources where id = $1";
    return JSON.parse(
      (await query<{ tracing: string }>(rest.database.db, text, [id]))[0]?.tracing ?? "",
    );
  };
  const prefix = "logging.open-cluster-management.io/";
  expect(await tracingOf(body.id)).toEqual({
    [`${prefix}op-id`]: "op-1",
    [`${prefix}traceparent`]: TRACEPARENT,
    [`${prefix}tracestate`]: "a=b",
  });
  expect(Object.keys(await tracingOf(malformed.body.id))).toEqual([`${prefix}op-id`]);
  const line = lines.map((line) => JSON.parse(line)).find((line) => line.operation_id === "op-1");
  expect(line?.trace_id).toBe("0af7651916cd43dd8448eb211c80319c");
});

const ACCEPTED: [accept: string, status: number][] = [
  ["*/*", 200],
  ["application/json", 200],
  ["text/html, application/*;q=0.8", 200],
  ["text/html;q=1, */*;q=0.1", 200],
  ["", 200],
  ["text/html", 406],
  ["application/yaml", 406],
  ["application/json;q=0, text/*;q=0, application/x-ndjson;q=0, */*", 406],
  ["*/*;q=0", 406],
];

for (const [accept, status] of ACCEPTED) {
  test(`a client that accepts "${accept}" is answered with ${status}, and then nothing is changed`, async () => {
    const get = await rest.call("GET", `${V1}/consumers`, undefined, { Accept: accept });
    const id = `accept-${crypto.randomUUID()}`;
    await rest.call("PUT", `${BUNDLES}/${id}`, bundle(), { Accept: accept });
    const { status: found } = await rest.call("GET", `${BUNDLES}/${id}`);

    expect(get.status).toBe(status);
    expect(found).toBe(status === 200 ? 200 : 404);
    if (status === 406) {
      expect(get.body).toMatchObject({
        kind: "Error",
        code: "maestro-21",
        reason: expect.stringMatching(/^Cannot answer as "/),
      });
    }
  });
}

const TYPES: [type: string, method: string, status: number][] = [
  ["application/json", "POST", 201],
  ["application/json; charset=UTF-8", "POST", 201],
  ["application/x-www-form-urlencoded", "POST", 201],
  ["text/plain", "POST", 201],
  ["application/yaml", "POST", 201],
  ["application/merge-patch+json", "POST", 415],
  ["application/json-patch+json", "PUT", 415],
  ["text/xml", "POST", 415],
  ["multipart/form-data; boundary=x", "POST", 415],
  ["constructor", "POST", 415],
  ["application/strategic-merge-patch+json", "PATCH", 415],
  ["application/json; charset=klingon", "POST", 415],
];

for (const [type, method, status] of TYPES) {
  test(`a ${method} of a bundle as ${type} is answered with ${status}`, async () => {
    const path = method === "POST" ? BUNDLES : `${BUNDLES}/x`;
    const answer = await rest.call(method, path, bundle(), { "Content-Type": type });

    expect(answer.status).toBe(status);
    if (status === 415) {
      expect(answer.body).toMatchObject({
        code: "maestro-21",
        reason: expect.stringMatching(/^Unable to read request body: /),
      });
    }
  });
}

test("a method that a path does not have is refused with those that it has", async () => {
  const paths: [path: string, method: string, allow: string][] = [
    [BUNDLES, "DELETE", "GET, HEAD, POST"],
    [`${BUNDLES}/x`, "POST", "GET, HEAD, PATCH, PUT, DELETE"],
    [`${BUNDLES}:batch`, "GET", "POST"],
    [`${V1}/resources/x`, "PUT", "GET, HEAD, PATCH, DELETE"],
    [`${V1}/consumers`, "PUT", "GET, HEAD, POST"],
  ];
  for (const [path, method, allow] of paths) {
    const { status, headers, body } = await rest.call(method, path, {});

    expect([status, headers.get("allow"), body.code]).toEqual([405, allow, "maestro-10"]);
  }
});

test("a rehearsal is refused where the change would take place", async () => {
  for (
    const [method, path] of [
      ["POST", `${V1}/consumers`],
      ["DELETE", `${V1}/consumers/x`],
      ["POST", `${V1}/cloudevents`],
    ] as const
  ) {
    const { status, body } = await rest.call(method, `${path}?dryRun=true`, {});

    expect([status, body.reason]).toEqual([
      400,
      'the parameter "dryRun" is not supported here; the change would take place',
    ]);
  }
});

test("I10: more requests at once than there may be are told to come back, and the others are answered", async () => {
  const held = Promise.withResolvers<never>();
  const spec = specDoor(() => held.promise);
  await using few = await openRest({ spec, limits: { requestsMax: 2 } });

  const waiting = [1, 2].map(() => few.call("POST", BUNDLES, bundle()));
  await Bun.sleep(0);
  const third = await few.call("GET", `${V1}/consumers`);
  held.reject(new Error("enough"));
  await Promise.all(waiting);
  const fourth = await few.call("GET", `${V1}/consumers`);

  expect([third.status, third.headers.get("retry-after"), third.body.reason]).toEqual([
    429,
    "1",
    "Cannot take another request: 2 requests are under way",
  ]);
  expect(fourth.status).toBe(200);
});

test("I10: bodies of requests under way together take no more memory than there may be", async () => {
  const held = Promise.withResolvers<never>();
  const spec = specDoor(() => held.promise);
  const entered = Promise.withResolvers<void>();
  const create = () => (entered.resolve(), held.promise);
  const writer = { ...spec.writer, create };
  await using small = await openRest({
    spec: { ...spec, writer },
    limits: { bodiesBytesMax: 100_000 },
  });
  const large = { ...bundle(), metadata: { annotations: { a: "x".repeat(60_000) } } };

  const first = small.call("POST", BUNDLES, large);
  await entered.promise;
  const second = await small.call("POST", BUNDLES, large);
  held.reject(new Error("enough"));
  await first;
  const third = await small.call("POST", BUNDLES, large);

  expect([second.status, second.body.reason]).toEqual([
    429,
    "Cannot take another request: too many large ones are under way",
  ]);
  expect(third.status).toBe(500);
});

test("headers that are too large are refused in words, on a port, too", async () => {
  await using server = serveRest(rest.app, { hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${server.port}${V1}/consumers`;

  const [refused, taken, byAddress] = await Promise.all([
    fetch(url, { headers: { "X-Large": "x".repeat(33_000) } }),
    fetch(url, { headers: { "X-Large": "x".repeat(20_000) } }),
    fetch(`${url}?search=${"x".repeat(33_000)}`),
  ]);

  expect([refused.status, taken.status, byAddress.status]).toEqual([431, 200, 431]);
  expect(await refused.json()).toMatchObject({
    kind: "Error",
    reason: "Unable to read the request: address and headers are larger than 32768 bytes",
  });
});

test("a body that does not arrive is not waited for without end", async () => {
  await using slow = await openRest({ database: rest.database, bodyTimeoutMs: 100 });
  await using server = serveRest(slow.app, { hostname: "127.0.0.1", port: 0 });

  const answer = await new Promise<string>((resolve, reject) => {
    const socket: Socket = connect(
      server.port,
      "127.0.0.1",
      () => socket.write(`POST ${BUNDLES} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"a`),
    );
    let text = "";
    socket.setEncoding("utf8").on("error", reject).on("data", (part: string) => {
      text += part;
      if (!text.includes("\r\n\r\n{")) return;
      socket.destroy();
      resolve(text);
    });
  });

  expect(answer).toStartWith("HTTP/1.1 408");
  expect(answer).toContain("Unable to read request body: it did not arrive within 100 ms");
});

test("M28: what a token may change follows from its roles", async () => {
  const roles: Record<string, string[]> = {
    admin: ["admin", "viewer"],
    viewer: ["viewer"],
    s1: ["source:s1"],
    two: ["source:s1", "source:s2"],
    plain: [],
  };
  await using closed = await openRest({
    database: rest.database,
    authenticate: async ({ authorization = "" }) => {
      const claims = { realm_access: { roles: roles[authorization] ?? [] } };
      const caller: Caller = { name: authorization, groups: [], claims, isAdmin: false };
      return await Promise.resolve(caller);
    },
  });
  const as = (name: string, method: string, path: string, body?: string | object) =>
    closed.call(
      method,
      path,
      typeof body === "object" ? { ...body } : body,
      { Authorization: name },
    ).then(({ status }) => status);
  const id = `owned-${crypto.randomUUID()}`;
  const theirs = await closed.call("POST", BUNDLES, bundle(), { Authorization: "admin" });
  const path = theirs.body.href;
  const event = encodeStructured(specEvent({ id: "e", consumerName: consumer, source: "s2" }));

  const statuses = {
    viewer: [
      await as("viewer", "GET", path),
      await as("viewer", "POST", BUNDLES, bundle()),
      await as("viewer", "DELETE", path),
      await as("viewer", "POST", `${BUNDLES}:batch`, { items: [] }),
      await as("viewer", "POST", `${V1}/consumers`, {}),
    ],
    s1: [
      await as("s1", "GET", path),
      await as("s1", "PUT", `${BUNDLES}/${id}`, bundle()),
      await as("s1", "PATCH", `${BUNDLES}/${id}`, { manifests: [] }),
      await as("s1", "PATCH", path, { manifests: [] }),
      await as("s1", "DELETE", path),
      await as("s1", "DELETE", `${BUNDLES}/${id}?abandon=true`),
      await as("s1", "POST", `${V1}/consumers`, {}),
      await as("s1", "POST", `${V1}/cloudevents`, event),
    ],
    two: [await as("two", "GET", path)],
    admin: [await as("admin", "PATCH", `${BUNDLES}/${id}`, { manifests: [NGINX] })],
    plain: [await as("plain", "PATCH", path, { manifests: [] })],
  };

  expect(statuses).toEqual({
    viewer: [200, 403, 403, 403, 403],
    s1: [200, 201, 200, 403, 403, 403, 403, 415],
    two: [403],
    admin: [200],
    plain: [200],
  });
  const structured = await closed.call("POST", `${V1}/cloudevents`, event, {
    Authorization: "s1",
    "Content-Type": "application/cloudevents+json",
  });
  expect([structured.status, structured.body.reason]).toEqual([
    403,
    'Cannot accept an event of source "s2": the token is for "s1"',
  ]);
});

/** What all routes of the REST door share: login, paths, methods, headers, errors, deadlines. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { serveRest } from "../../src/lib/rest/serve.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { createIssuer, type Issuer } from "../access/tokens.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, specDoor, V1 } from "./harness.ts";

const ADMIN = "admin-token-of-this-test-0123456789";

let rest: RestHarness;
let closed: RestHarness;
let issuer: Issuer;
let keys: Bun.Server<undefined>;
beforeAll(async () => {
  issuer = await createIssuer();
  keys = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(issuer.jwks) });
  const authenticate = createAuthenticator({
    jwks: { url: keys.url.href },
    adminToken: ADMIN,
    log: testLogger(),
  });
  [rest, closed] = await Promise.all([openRest(), openRest({ authenticate })]);
}, 60_000);
afterAll(async () => {
  await rest[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
  await keys.stop();
});

/** A door whose creations end as the function says. */
function openWith(create: () => Promise<never>, requestTimeoutMs = 10_000): Promise<RestHarness> {
  return openRest({ spec: specDoor(create), requestTimeoutMs });
}

const post = (harness: RestHarness) =>
  harness.call("POST", `${V1}/resources`, { consumer_name: "c", manifest: NGINX });

test("without a token the answer is that of the first README, field by field", async () => {
  const { status, text, headers } = await closed.call("GET", `${V1}/resources`);

  expect(status).toBe(401);
  expect(JSON.stringify(JSON.parse(text), null, 2)).toBe(`{
  "kind": "Error",
  "id": "401",
  "href": "/api/maestro/errors/401",
  "code": "API-401",
  "reason": "Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie"
}`);
  expect(headers.get("www-authenticate")).toStartWith("Bearer");
});

test("a token opens the door by header, by cookie, and so does the admin token", async () => {
  const token = await issuer.sign({ sub: "ada" });
  const ways: Record<string, string>[] = [
    { Authorization: `Bearer ${token}` },
    { Cookie: `other=1; cs_jwt=${token}` },
    { Authorization: `Bearer ${ADMIN}` },
  ];

  for (const headers of ways) {
    expect((await closed.call("GET", `${V1}/resources`, undefined, headers)).status).toBe(200);
  }
});

test("an expired token is refused with its reason", async () => {
  const token = await issuer.sign({ exp: 1 });
  const headers = { Authorization: `Bearer ${token}` };

  const { status, body } = await closed.call("GET", `${V1}/consumers`, undefined, headers);

  expect([status, body.reason]).toEqual([401, "Bearer token is expired"]);
});

test("who is not known is asked for a token before a path is looked for", async () => {
  for (const path of ["/", "/nowhere", `${V1}/nowhere`, "/api/maestro/v2", `${V1}/errorsx`]) {
    expect((await closed.call("GET", path)).status).toBe(401);
  }
  expect((await closed.call("POST", `${V1}/consumers`, {})).status).toBe(401);
  expect((await closed.call("PUT", `${V1}/resources`, {})).status).toBe(401);
  expect((await closed.call("DELETE", `${V1}/resources/../consumers/x`)).status).toBe(401);
});

test("what the API is and what its errors mean is told to anyone", async () => {
  const root = await closed.call("GET", "/api/maestro/");
  const v1 = await closed.call("GET", V1);
  const errors = await closed.call("GET", `${V1}/errors`);
  const one = await closed.call("GET", `${V1}/errors/7`);
  const none = await closed.call("GET", `${V1}/errors/99`);

  expect(root.body).toEqual({
    id: "maestro",
    href: "/api/maestro",
    kind: "API",
    versions: [{ id: "v1", href: "/api/maestro/v1", kind: "", collections: null }],
  });
  expect(v1.body.collections.map(({ id }: { id: string }) => id)).toContain("resources");
  expect(errors.body).toMatchObject({ kind: "ErrorList", page: 1, size: 13, total: 13 });
  expect(one.body).toMatchObject({ code: "maestro-7", reason: "Resource not found" });
  expect(none).toMatchObject({ status: 404, body: { reason: "No error with id 99 exists" } });
});

test("another site cannot use a browser's cookie to change something", async () => {
  const token = await issuer.sign({ sub: "ada" });
  const send = (headers: Record<string, string>) =>
    closed.call("POST", `${V1}/consumers`, {}, headers);

  const foreign = await send({ Cookie: `cs_jwt=${token}`, "Sec-Fetch-Site": "cross-site" });
  const own = await send({ Cookie: `cs_jwt=${token}`, "Sec-Fetch-Site": "same-origin" });
  const program = await send({ Cookie: `cs_jwt=${token}` });

  expect([foreign.status, own.status, program.status]).toEqual([403, 201, 201]);
});

test("an unknown path is not found, in the shape of an error", async () => {
  const { status, body } = await rest.call("GET", `${V1}/nothing/here?x=1`);

  expect(status).toBe(404);
  expect(body).toEqual({
    code: "maestro-404",
    href: "/api/maestro/v1/errors/404",
    id: "404",
    kind: "Error",
    operation_id: expect.stringMatching(/^[0-9A-Za-z]{27}$/),
    reason: "The requested resource '/api/maestro/v1/nothing/here' doesn't exist",
  });
});

test("a method that a path does not have is refused with those it has", async () => {
  const list = await rest.call("PUT", `${V1}/resources`, {});
  const item = await rest.call("POST", `${V1}/consumers/x`, {});

  expect(list.status).toBe(405);
  expect(list.headers.get("allow")).toBe("GET, HEAD, POST");
  expect(list.body).toMatchObject({ code: "maestro-10", kind: "Error" });
  expect(item.headers.get("allow")).toBe("GET, HEAD, PATCH, DELETE");
});

test("one trailing slash makes no difference, two do", async () => {
  expect((await rest.call("GET", `${V1}/consumers/`)).status).toBe(200);
  expect((await rest.call("GET", `${V1}/consumers//`)).status).toBe(404);
});

test("an operation id comes back in header and error, and is made if it cannot be used", async () => {
  const mine = await rest.call("GET", `${V1}/consumers/x`, undefined, { "X-Operation-ID": "op-1" });
  const bad = await rest.call("GET", `${V1}/consumers/x`, undefined, {
    "X-Operation-ID": "x".repeat(129),
  });

  expect(mine.headers.get("x-operation-id")).toBe("op-1");
  expect(mine.body.operation_id).toBe("op-1");
  expect(bad.body.operation_id).toMatch(/^[0-9A-Za-z]{27}$/);
  expect(bad.headers.get("x-operation-id")).toBe(bad.body.operation_id);
});

test("every answer says that it is JSON and depends on who asks", async () => {
  const answers = [
    await rest.call("GET", `${V1}/consumers`),
    await rest.call("GET", `${V1}/consumers/x`),
    await rest.call("GET", "/nowhere"),
    await rest.call("PUT", V1),
    await closed.call("GET", `${V1}/consumers`),
    await rest.call("DELETE", `${V1}/consumers/x`),
  ];

  for (const { headers, text } of answers) {
    expect(headers.get("vary")).toBe("Authorization");
    if (text !== "") expect(headers.get("content-type")).toBe("application/json");
  }
});

test("consumers are created, labelled and removed over REST", async () => {
  const created = await rest.call("POST", `${V1}/consumers`, { name: "cluster1", labels: {} });
  const path = `${V1}/consumers/${created.body.id}`;
  const labelled = await rest.call("PATCH", path, { ...created.body, labels: { env: "prod" } });
  const renamed = await rest.call("PATCH", path, { name: "cluster2" });
  const twice = await rest.call("POST", `${V1}/consumers`, { name: "cluster1" });
  const removed = await rest.call("DELETE", path);
  const gone = await rest.call("GET", path);

  expect(created).toMatchObject({
    status: 201,
    body: {
      created_at: expect.any(String),
      href: path,
      id: expect.any(String),
      kind: "Consumer",
      name: "cluster1",
      updated_at: expect.any(String),
    },
  });
  expect(created.body).not.toHaveProperty("labels");
  expect(labelled).toMatchObject({ status: 200, body: { labels: { env: "prod" } } });
  expect(renamed).toMatchObject({ status: 400, body: { reason: "name: field is immutable" } });
  expect(twice).toMatchObject({ status: 409, body: { reason: "This Consumer already exists" } });
  expect([removed.status, removed.text]).toEqual([204, ""]);
  expect(gone).toMatchObject({ status: 404, body: { code: "maestro-7" } });
});

test("a consumer that has resources cannot be removed over REST", async () => {
  const { body } = await rest.call("POST", `${V1}/consumers`, {});
  await rest.call("POST", `${V1}/resources`, { consumer_name: body.name, manifest: NGINX });

  const removed = await rest.call("DELETE", body.href);

  expect(removed).toMatchObject({ status: 403, body: { code: "maestro-4" } });
  expect(removed.body.reason).toMatch(/^Unable to delete Consumer: .*fk_resources_consumers/);
});

test("what is unavailable now says when to come back", async () => {
  await using away = await openWith(() =>
    Promise.reject(new MaestroError("unavailable", "Cannot reach the database"))
  );
  await using full = await openWith(() =>
    Promise.reject(new MaestroError("resource_exhausted", "Cannot accept a resource: too many"))
  );

  const [outage, overload] = [await post(away), await post(full)];

  expect([outage.status, outage.headers.get("retry-after")]).toEqual([503, "1"]);
  expect([overload.status, overload.headers.get("retry-after")]).toEqual([429, "1"]);
  expect(overload.body).toMatchObject({
    code: "maestro-9",
    reason: expect.stringMatching(/too many/),
  });
});

test("a bug is logged with its cause, and says nothing of itself to the client", async () => {
  const lines: string[] = [];
  const fail = () => Promise.reject(new Error("secret of the house"));
  const spec = specDoor(fail);
  await using broken = await openRest({ spec, log: testLogger((line) => lines.push(line)) });

  const { status, body } = await post(broken);

  expect([status, body.reason]).toEqual([500, "Internal error"]);
  expect(lines.join("")).toContain("secret of the house");
  expect(lines.join("")).toContain(body.operation_id);
});

test("a request that takes too long is answered all the same", async () => {
  await using slow = await openWith(() => new Promise(() => {}), 50);

  const { status, body } = await post(slow);

  expect(status).toBe(503);
  expect(body.reason).toBe("Cannot answer within 50 ms; a change may still take effect");
});

test("requests are counted by the template of their path", async () => {
  await using harness = await openRest();

  await harness.call("GET", `${V1}/consumers/a`);
  await harness.call("GET", `${V1}/consumers/b`);
  await harness.call("PROPFIND", "/made/up/1");
  await harness.call("GET", "/made/up/2");

  const text = await harness.metrics.registry.metrics();
  const count = "rest_api_inbound_request_count";
  expect(text).toContain(`${count}{method="GET",path="/api/maestro/v1/consumers/-",code="404"} 2`);
  expect(text).toContain(`${count}{method="other",path="-",code="404"} 1`);
  expect(text).toContain(`${count}{method="GET",path="-",code="404"} 1`);
});

test("the door is open on a port, and a body of 10 MB is refused there, too", async () => {
  await using server = serveRest(rest.app, { hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${server.port}${V1}/resources`;

  const list = await fetch(url);
  const large = await fetch(url, { method: "POST", body: "x".repeat(10 * 1024 * 1024) });
  const after = await fetch(url);

  expect([list.status, large.status, after.status]).toEqual([200, 413, 200]);
  expect(await large.json()).toMatchObject({
    kind: "Error",
    reason: expect.stringMatching(/larger than 4194304 bytes/),
  });
});

test("closing the door lets a request under way finish", async () => {
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<Response>();
  const app = {
    fetch: () => {
      entered.resolve();
      return leave.promise;
    },
  };
  const server = serveRest(app, { hostname: "127.0.0.1", port: 0 });
  const answer = fetch(`http://127.0.0.1:${server.port}/`);
  await entered.promise;

  const closing = server[Symbol.asyncDispose]();
  leave.resolve(new Response("done"));

  expect(await (await answer).text()).toBe("done");
  await closing;
});

/** Requests that come again because their answer was lost: each takes effect once. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Caller } from "../../src/lib/access/caller.ts";
import { query } from "../../src/lib/db/query.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor, type SpecDoor } from "../../src/lib/spec/door.ts";
import { createRequestKeys, purgeRequestKeys } from "../../src/lib/spec/request_keys.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import type { LastRequest } from "../harness/die_after_write.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const SHORT_LIVED = join(import.meta.dir, "../harness/die_after_write.ts");

let rest: RestHarness;
/** Another server on the same database. */
let other: RestHarness;
let consumer: string;
beforeAll(async () => {
  rest = await openRest();
  other = await openRest({ database: rest.database });
  consumer = await rest.consumer();
});
afterAll(() => rest[Symbol.asyncDispose]());

const newKey = () => ({ "Idempotency-Key": `"${crypto.randomUUID()}"` });
const bundle = () => ({ consumer_name: consumer, manifests: [NGINX] });
const append = JSON.stringify([{ op: "add", path: "/manifests/-", value: named("another") }]);

function named(name: string) {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" } };
}

async function total(): Promise<number> {
  const [row] = await query<{ n: number }>(
    rest.database.db,
    "select count(*)::int as n from resources",
    [],
  );
  return row?.n ?? -1;
}

/** The claims of servers that died are taken over after a while, which is over now. */
const passTime = () =>
  query(rest.database.db, "update request_keys set claimed_at = now() - interval '2 min'", []);

test("the same request with the same key gets the first answer again, also from another server", async () => {
  const key = newKey();
  const before = await total();

  const first = await rest.call("POST", BUNDLES, bundle(), key);
  await rest.call("PATCH", first.body.href, { manifests: [] });
  const again = await rest.call("POST", BUNDLES, bundle(), key);
  // A client that does not write the structured string of the draft.
  const bare = { "Idempotency-Key": key["Idempotency-Key"].replaceAll('"', "") };
  const elsewhere = await other.call("POST", BUNDLES, bundle(), bare);

  expect(first.status).toBe(201);
  for (const answer of [again, elsewhere]) {
    expect([answer.status, answer.text]).toEqual([201, first.text]);
    for (const header of ["location", "etag", "content-type"]) {
      expect(answer.headers.get(header)).toBe(first.headers.get(header));
    }
    expect(answer.headers.get("idempotency-replayed")).toBe("true");
  }
  expect(first.headers.get("idempotency-replayed")).toBeNull();
  expect(await total()).toBe(before + 1);
});

test("a key that comes with another request is refused, of another caller it is another", async () => {
  const byName = async ({ authorization = "" }: { authorization?: string | undefined }) => {
    const caller: Caller = { name: authorization, groups: [], claims: {}, isAdmin: false };
    return await Promise.resolve(caller);
  };
  await using named = await openRest({ database: rest.database, authenticate: byName });
  const key = newKey();
  const post = (name: string, body = bundle(), path = BUNDLES) =>
    named.call("POST", path, body, { ...key, Authorization: name });

  const first = await post("ada");
  const others = await Promise.all([
    post("ada", { ...bundle(), manifests: [] }),
    post("ada", bundle(), `${BUNDLES}?consumer_name=x`),
    named.call("PUT", `${BUNDLES}/x`, bundle(), { ...key, Authorization: "ada" }),
  ]);
  const second = await post("bob");

  expect(others.map(({ status }) => status)).toEqual([422, 422, 422]);
  expect(others[0].body.reason).toBe("the Idempotency-Key was used for another request");
  expect(second.status).toBe(201);
  expect(second.body.id).not.toBe(first.body.id);
});

test("a refusal is an answer that comes again; an outage is none", async () => {
  const [refused, failed] = [newKey(), newKey()];
  const body = { ...bundle(), consumer_name: "nowhere-yet" };
  let isOut = true;
  const door = createSpecDoor(rest.database.db, createAcceptor(rest.database.db), testLogger());
  const spec: SpecDoor = {
    ...door,
    writer: {
      ...door.writer,
      create: (...args) =>
        isOut
          ? Promise.reject(new MaestroError("unavailable", "nobody home"))
          : door.writer.create(...args),
    },
  };
  await using shaky = await openRest({ database: rest.database, spec });

  const first = await rest.call("POST", BUNDLES, body, refused);
  await rest.call("POST", `${V1}/consumers`, { name: "nowhere-yet" });
  const again = await rest.call("POST", BUNDLES, body, refused);
  const during = await shaky.call("POST", BUNDLES, bundle(), failed);
  isOut = false;
  const after = await shaky.call("POST", BUNDLES, bundle(), failed);

  expect([first.status, again.status, again.text]).toEqual([400, 400, first.text]);
  expect([during.status, after.status]).toEqual([503, 201]);
});

test("while a request is under way the same one is told to come back", async () => {
  const held = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const door = createSpecDoor(rest.database.db, createAcceptor(rest.database.db), testLogger());
  const create: SpecDoor["writer"]["create"] = async (...args) => {
    entered.resolve();
    await held.promise;
    return await door.writer.create(...args);
  };
  const spec = { ...door, writer: { ...door.writer, create } };
  await using slow = await openRest({ database: rest.database, spec });
  const key = newKey();

  const first = slow.call("POST", BUNDLES, bundle(), key);
  await entered.promise;
  const second = await rest.call("POST", BUNDLES, bundle(), key);
  held.resolve();

  expect([second.status, second.headers.get("retry-after")]).toEqual([409, "1"]);
  expect(second.body.reason).toBe("the request with this Idempotency-Key is under way");
  expect((await first).status).toBe(201);
  expect((await rest.call("POST", BUNDLES, bundle(), key)).text).toBe((await first).text);
});

test("a server killed between a change and its answer has made the change once, and another answers", async () => {
  const { body: target } = await rest.call("POST", BUNDLES, bundle());
  const { body: doomed } = await rest.call("POST", BUNDLES, bundle());
  const applied = `${BUNDLES}/applied-${crypto.randomUUID()}`;
  const json = { "Content-Type": "application/json" };
  const steps = { "Content-Type": "application/json-patch+json" };
  const requests = [
    { path: BUNDLES, method: "POST", body: JSON.stringify(bundle()), headers: json },
    { path: target.href, method: "PATCH", body: append, headers: steps },
    { path: applied, method: "PUT", body: JSON.stringify(bundle()), headers: json },
    { path: doomed.href, method: "DELETE", headers: {} },
    {
      path: `${V1}/resources`,
      method: "POST",
      body: JSON.stringify({ consumer_name: consumer, manifest: NGINX }),
      headers: json,
    },
  ].map((request) => ({ ...request, headers: { ...request.headers, ...newKey() } }));
  const before = await total();

  for (const request of requests) {
    const args: LastRequest = [rest.database.url, JSON.stringify(request)];
    const child = Bun.spawn([process.execPath, SHORT_LIVED, ...args], { stdout: "ignore" });
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
  }
  const busy = await rest.call("POST", BUNDLES, requests[0]?.body, requests[0]?.headers);
  await passTime();
  const answers = [];
  for (const { path, method, body, headers } of requests) {
    answers.push(await rest.call(method, path, body, headers));
  }

  expect(busy.status).toBe(409);
  expect(answers.map(({ status }) => status)).toEqual([201, 200, 201, 204, 201]);
  expect(await total()).toBe(before + 3);
  expect(answers[1]?.body).toMatchObject({ version: 2, manifests: [NGINX, named("another")] });
  expect(answers[2]?.body.version).toBe(1);
  for (const { path, method, body, headers } of requests) {
    const last = await other.call(method, path, body, headers);
    expect(last.headers.get("idempotency-replayed")).toBe("true");
  }
});

test("a dry run leaves a key to the change that it rehearses", async () => {
  const key = newKey();

  const dry = await rest.call("POST", `${BUNDLES}?dryRun=true`, bundle(), key);
  const real = await rest.call("POST", BUNDLES, bundle(), key);

  expect([dry.status, real.status]).toEqual([201, 201]);
  expect(real.headers.get("idempotency-replayed")).toBeNull();
});

test("a key that cannot be kept is refused", async () => {
  for (const key of ["", '""', "a b", "ü", "x".repeat(256)]) {
    const headers = { "Idempotency-Key": key };
    const { status, body } = await rest.call("POST", BUNDLES, bundle(), headers);

    expect([status, body.reason]).toEqual([
      400,
      "the header Idempotency-Key must be 1 to 255 printable characters",
    ]);
  }
});

test("keys are forgotten after a day, and no more are kept than there may be", async () => {
  await using fresh = await openRest();
  const { db } = fresh.database;
  const keys = createRequestKeys(db, { keysMax: 2 });
  const request = (key: string) => ({ caller: "", key, fingerprint: "f" });
  const claim = (key: string) =>
    keys.claim(request(key)).then(({ state }) => state, ({ code }) => String(code));
  const count = async () =>
    (await query<{ n: number }>(db, "select count(*)::int as n from request_keys", []))[0]?.n;

  const states = [await claim("1"), await claim("2"), await claim("3"), await claim("2")];
  await query(db, "update request_keys set created_at = now() - interval '25 h' where key = $1", [
    "1",
  ]);
  const left = await purgeRequestKeys(db);
  const purged = await createRequestKeys(db, { keysMax: 2 }).claim(request("1"));
  // One that is too old, and that nobody has purged yet.
  await query(
    db,
    "update request_keys set created_at = now() - interval '25 h', status = 201 where key = $1",
    ["2"],
  );
  const unpurged = await createRequestKeys(db).claim({ ...request("2"), fingerprint: "new" });

  const large = { status: 200, headers: {}, body: "x".repeat(1_000) };
  await keys.keep(request("2"), unpurged.state === "ours" ? unpurged.requestId : "", large);
  const tight = createRequestKeys(db, { bodyBytesMax: 1_000 });
  const tooMuch = await tight.claim(request("9")).then(({ state }) => state, ({ code }) => code);

  expect(tooMuch).toBe("resource_exhausted");
  expect(states).toEqual(["ours", "ours", "resource_exhausted", "busy"]);
  expect([left, await count()]).toEqual([false, 2]);
  expect([purged.state, unpurged.state]).toEqual(["ours", "ours"]);
});

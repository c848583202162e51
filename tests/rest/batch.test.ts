/** Many changes of bundles in one request. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor, type SpecDoor } from "../../src/lib/spec/door.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const BATCH = `${BUNDLES}:batch`;

let rest: RestHarness;
let consumer: string;
beforeAll(async () => {
  rest = await openRest();
  consumer = await rest.consumer();
});
afterAll(() => rest[Symbol.asyncDispose]());

const bundle = (parts: JsonObject = {}) => ({
  consumer_name: consumer,
  manifests: [NGINX],
  ...parts,
});
const send = (items: unknown[], address = BATCH, headers = {}) =>
  rest.call("POST", address, { items }, headers);
const newId = () => `batch-${crypto.randomUUID()}`;

test("each item is answered for itself and in its place, whatever becomes of the others", async () => {
  const [id, gone] = [newId(), newId()];
  await rest.call("PUT", `${BUNDLES}/${gone}`, bundle());

  const { status, body } = await send([
    { action: "create", bundle: bundle() },
    { action: "create", bundle: bundle({ consumer_name: "nowhere" }) },
    { action: "apply", bundle: bundle({ id }) },
    { action: "apply", id, bundle: bundle({ manifests: [], version: 1 }) },
    { action: "patch", id, patch: { metadata: { labels: { a: "b" } } } },
    { action: "patch", id, patch: [{ op: "add", path: "/manifests/-", value: NGINX }], version: 3 },
    { action: "patch", id, patch: {}, version: 3 },
    { action: "delete", id: gone, version: 7 },
    { action: "delete", id: gone },
    { action: "delete", id: "never-there" },
    { action: "replace" },
    { action: "patch", patch: {} },
    "x",
  ]);

  expect([status, body.kind, body.size]).toEqual([200, "ResourceBundleBatch", 13]);
  expect(body.items.map((item: JsonObject) => item["status"])).toEqual([
    ...[201, 400, 201, 200, 200, 200, 409, 409, 204, 204, 400, 400, 400],
  ]);
  expect(body.items[5]).toMatchObject({
    id,
    version: 4,
    bundle: { manifests: [NGINX], metadata: { labels: { a: "b" } } },
  });
  expect(body.items[6].error).toMatchObject({
    kind: "Error",
    code: "maestro-6",
    reason: "the resource version is not the latest, the latest version: 4",
  });
  expect(body.items.slice(10).map(({ error }: JsonObject) => (error as JsonObject)["reason"]))
    .toEqual([
      "action must be create, apply, patch or delete",
      "id is required",
      "an item of a batch must be an object",
    ]);
});

test("a thousand items of different bundles cost few statements", async () => {
  const ids = Array.from({ length: 1_000 }, newId);
  const items = ids.map((id) => ({ action: "apply", bundle: bundle({ id }) }));

  const { status, body } = await send(items);

  const statuses = new Set(body.items.map((item: JsonObject) => item["status"]));
  expect([status, body.size, [...statuses]]).toEqual([200, 1_000, [201]]);
  const [row] = await query<{ statements: number }>(
    rest.database.db,
    "select count(distinct xid)::int as statements from changes where resource_id = any ($1::text[])",
    [ids],
  );
  expect(row?.statements).toBeLessThanOrEqual(64);
});

test("items of one bundle take effect in their order, hundreds of them", async () => {
  const id = newId();
  const items = Array.from({ length: 300 }, (_, index) => ({
    action: "apply",
    bundle: bundle({ id, metadata: { annotations: { turn: String(index) } } }),
  }));

  const { body } = await send(items);

  expect(body.items.map(({ version }: JsonObject) => version))
    .toEqual(items.map((_, index) => index + 1));
  expect((await rest.call("GET", `${BUNDLES}/${id}`)).body.metadata.annotations).toEqual({
    turn: "299",
  });
});

test("a batch that is rehearsed stores nothing, a batch that comes again changes nothing", async () => {
  const id = newId();
  const items = [
    { action: "create", bundle: bundle() },
    { action: "apply", bundle: bundle({ id }) },
    { action: "delete", id },
  ];
  const key = { "Idempotency-Key": crypto.randomUUID() };
  const count = async () =>
    (await query(rest.database.db, "select count(*)::int as n from resources", []))[0];
  const before = await count();

  const dry = await send(items, `${BATCH}?dryRun=true`, key);
  const between = await count();
  const first = await send(items, BATCH, key);
  const after = await count();
  const again = await send(items, BATCH, key);

  expect(dry.body.items.map((item: JsonObject) => item["status"])).toEqual([201, 201, 204]);
  expect(between).toEqual(before as object);
  expect([again.status, again.text]).toEqual([200, first.text]);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(await count()).toEqual(after as object);
});

test("a batch that was cut off between its items goes on where it was, and changes nothing twice", async () => {
  const [appended, deleted] = [newId(), newId()];
  await send([appended, deleted].map((id) => ({ action: "apply", bundle: bundle({ id }) })));
  const named = { ...NGINX, metadata: { name: "second" } };
  const items = [
    { action: "create", bundle: bundle() },
    { action: "patch", id: appended, patch: [{ op: "add", path: "/manifests/-", value: named }] },
    { action: "delete", id: deleted },
    { action: "create", bundle: bundle() },
  ];
  const key = { "Idempotency-Key": crypto.randomUUID() };
  // Its fourth item never ends: the server is killed in it.
  const door = createSpecDoor(rest.database.db, createAcceptor(rest.database.db), testLogger());
  const reached = Promise.withResolvers<void>();
  let creates = 0;
  const create: SpecDoor["writer"]["create"] = (...args) =>
    ++creates === 1
      ? door.writer.create(...args)
      : (reached.resolve(), new Promise<never>(() => {}));
  const spec = { ...door, writer: { ...door.writer, create } };
  await using doomed = await openRest({ database: rest.database, spec, requestTimeoutMs: 500 });
  const total = async () =>
    (await query<{ n: number }>(rest.database.db, "select count(*)::int as n from resources", []))[
      0
    ]?.n ?? 0;
  const before = await total();

  const first = await doomed.call("POST", BATCH, { items }, key);
  await reached.promise;
  await query(rest.database.db, "delete from resources where id = $1", [deleted]);
  await rest.call("PUT", `${BUNDLES}/${deleted}`, bundle());
  await query(rest.database.db, "update request_keys set claimed_at = now() - interval '1 h'", []);
  const second = await send(items, BATCH, key);

  expect(first.status).toBe(503);
  expect(second.body.items.map((item: JsonObject) => item["status"])).toEqual([201, 200, 204, 201]);
  expect(second.body.items[1]).toMatchObject({ version: 2, bundle: { manifests: [NGINX, named] } });
  expect(await total()).toBe(before + 2);
  expect((await rest.call("GET", `${BUNDLES}/${deleted}`)).body).not.toHaveProperty("deleted_at");
});

test("a batch is a list of at most a thousand items and eight megabytes, in JSON or YAML", async () => {
  const many = await send(Array.from({ length: 1_001 }, () => ({})));
  const none = await rest.call("POST", BATCH, { bundles: [] });
  const large = await rest.call("POST", BATCH, "x".repeat(8 * 1024 * 1024 + 1));
  const yaml = await rest.call(
    "POST",
    BATCH,
    `action: delete\nid: a\n---\naction: apply\nbundle: {id: ${newId()}, consumer_name: ${consumer}, ` +
      "manifests: []}\n",
    { "Content-Type": "application/yaml" },
  );

  expect([many.status, many.body.reason]).toEqual([
    400,
    "the batch has 1001 items, at most are 1000",
  ]);
  expect([none.status, none.body.reason]).toEqual([
    400,
    'unknown field "bundles"; known are items',
  ]);
  expect([large.status, large.body.code]).toEqual([413, "maestro-17"]);
  expect(yaml.body.items.map((item: JsonObject) => item["status"])).toEqual([204, 201]);
});

/** Order, pages, fields and walks: what all lists have in common. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

type Item = { id: string; name: string } & Record<string, unknown>;

const RESOURCES = `${V1}/resources`;
const CONSUMERS = `${V1}/consumers`;
const BUNDLES = `${V1}/resource-bundles`;

let rest: RestHarness;
beforeAll(async () => {
  rest = await openRest();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

async function addBundles(
  harness: RestHarness,
  consumer: string,
  count: number,
  prefix: string,
): Promise<void> {
  await query(
    harness.database.db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, metadata, created_at, deleted_at) select $2 || '-' || lpad(n::text, 4, '0'), " +
      "$2 || '-' || lpad(n::text, 4, '0'), 's' || n % 3, $1, 'Bundle', 1 + n % 5, " +
      "'{\"manifests\":[]}', '', '{}', jsonb_build_object('labels', jsonb_build_object('n', n::text)), " +
      // Some are as old as others, and some are being deleted.
      "timestamptz '2026-01-01' + (1 + n / 4) * interval '1 us', case when n % 7 = 0 then now() end " +
      "from generate_series(1, $3::int) n",
    [consumer, prefix, count],
  );
}

async function walk(path: string, limit: number, parameters: string): Promise<Item[][]> {
  const pages: Item[][] = [];
  for (let token: string | undefined = "";;) {
    const { status, body } = await rest.call(
      "GET",
      `${path}?limit=${limit}&continue=${token}&${parameters}`,
    );
    expect(status).toBe(200);
    expect(body.size).toBe(body.items.length);
    pages.push(body.items);
    expect(body.page).toBe(pages.length);
    token = body.continue;
    if (token === undefined) return pages;
  }
}

const search = (text: string) => `search=${encodeURIComponent(text)}`;
const order = (text: string) => `orderBy=${encodeURIComponent(text)}`;

test("lists are ordered as asked for, and ties by the id", async () => {
  const consumer = await rest.consumer();
  await addBundles(rest, consumer, 30, "order");
  const within = search(`consumer_name = '${consumer}'`);
  const sortedBy = async (text: string) =>
    (await rest.call("GET", `${BUNDLES}?size=-1&${within}&${order(text)}`)).body.items as Item[];
  const rows = (await sortedBy("id")).map(({ id, version, created_at, deleted_at }) => ({
    ...{ id, version: Number(version), created_at: String(created_at) },
    deleted_at: String(deleted_at ?? "~"),
  }));
  type Row = (typeof rows)[number];
  const by = (...keys: ((a: Row, b: Row) => number)[]) =>
    rows.toSorted((a, b) => keys.reduce((sum, key) => sum || key(a, b), 0)).map(({ id }) => id);
  const text = (key: "id" | "created_at" | "deleted_at") => (a: Row, b: Row) =>
    a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0;
  const reversed = (key: (a: Row, b: Row) => number) => (a: Row, b: Row) => key(b, a);
  const version = (a: Row, b: Row) => a.version - b.version;
  const expected: [string, string[]][] = [
    ["", by(text("created_at"), text("id"))],
    ["version", by(version, text("id"))],
    ["version asc", by(version, text("id"))],
    ["version desc", by(reversed(version), reversed(text("id")))],
    [" version desc , id asc", by(reversed(version), text("id"))],
    [
      "resources.version,created_at desc",
      by(version, reversed(text("created_at")), reversed(text("id"))),
    ],
    ["deleted_at", by(text("deleted_at"), text("id"))],
    ["deleted_at desc,id", by(reversed(text("deleted_at")), text("id"))],
    ["consumer_name,type,Name desc", by(reversed(text("id")))],
  ];

  for (const [orderBy, ids] of expected) {
    expect([orderBy, ...(await sortedBy(orderBy)).map(({ id }) => id)]).toEqual([orderBy, ...ids]);
  }
});

test("a walk by continue shows every row once, in whatever order, as a page of all does", async () => {
  const consumer = await rest.consumer();
  await addBundles(rest, consumer, 50, "walk");
  const within = search(`consumer_name = '${consumer}'`);
  const orders = ["", "id desc", "version", "version desc,name", "deleted_at,version desc"];
  orders.push("deleted_at desc,created_at", "source,version desc,id", "name,id", "updated_at");

  for (const one of orders) {
    const whole = await rest.call("GET", `${BUNDLES}?size=-1&${within}&${order(one)}`);
    const pages = await walk(BUNDLES, 7, `${within}&${order(one)}`);

    expect(whole.body).not.toHaveProperty("continue");
    expect(pages.map((page) => page.length)).toEqual([7, 7, 7, 7, 7, 7, 7, 1]);
    expect([one, ...pages.flat().map(({ id }) => id)]).toEqual(
      [one, ...whole.body.items.map(({ id }: Item) => id)],
    );
  }
});

test("a walk under writes neither skips nor repeats a row that stays", async () => {
  const consumer = await rest.consumer();
  await addBundles(rest, consumer, 60, "stay");
  const { db } = rest.database;
  const seen: string[] = [];
  let token: string | undefined = "";
  for (let page = 0; token !== undefined; page++) {
    const { body } = await rest.call(
      "GET",
      `${BUNDLES}?limit=6&continue=${token}&${search(`consumer_name = '${consumer}'`)}`,
    );
    seen.push(...body.items.map(({ id }: Item) => id));
    token = body.continue;
    // Rows come before and behind the place, go before and behind it, and change.
    await addBundles(rest, consumer, 3, `new-${page}`);
    await query(
      db,
      "delete from resources where consumer_name = $1 and version = 3 and id like 'stay-00' || $2 || '%'",
      [consumer, page % 6],
    );
    await query(
      db,
      "update resources set version = version + 5, updated_at = now() where id like 'stay-%0'",
      [],
    );
  }
  const stayed = await query<{ id: string }>(
    db,
    "select id from resources where consumer_name = $1 and id like 'stay-%' order by id",
    [consumer],
  );

  expect(new Set(seen).size).toBe(seen.length);
  expect(seen).toEqual(expect.arrayContaining(stayed.map(({ id }) => id)));
  expect(stayed.length).toBeGreaterThan(40);
});

test("a token goes on in its own list only", async () => {
  const consumer = await rest.consumer();
  await addBundles(rest, consumer, 3, "token");
  const { body } = await rest.call("GET", `${BUNDLES}?limit=1`);
  const call = async (path: string) => {
    const { status, body: answer } = await rest.call("GET", path);
    return [status, String(answer.reason).slice(0, 44)];
  };
  const forge = (change: (parts: unknown[]) => unknown) => {
    const parts = JSON.parse(Buffer.from(body.continue, "base64url").toString());
    return Buffer.from(JSON.stringify(change(parts))).toString("base64url");
  };
  const foreign = [400, 'the parameter "continue" belongs to a list w'];
  const bad = [400, 'the parameter "continue" must be the one of '];

  expect(await call(`${BUNDLES}?continue=${body.continue}`)).toEqual([200, "undefined"]);
  expect(await call(`${BUNDLES}?limit=5&fields=id&continue=${body.continue}`)).toEqual([
    200,
    "undefined",
  ]);
  for (const path of [`${RESOURCES}?`, `${CONSUMERS}?`, `${BUNDLES}?search=version=1&`]) {
    expect(await call(`${path}continue=${body.continue}`)).toEqual(foreign);
  }
  expect(await call(`${BUNDLES}?orderBy=name,created_at&continue=${body.continue}`)).toEqual(bad);
  expect(await call(`${BUNDLES}?orderBy=created_at%20desc&continue=${body.continue}`)).toEqual(
    foreign,
  );
  const forged = [
    ...[(p: unknown[]) => [2, ...p.slice(1)], (p: unknown[]) => p.slice(0, -1), () => "x"],
    ...[(p: unknown[]) => [...p.slice(0, 2), 0, ...p.slice(3)], () => [1]],
    ...[(p: unknown[]) => [...p.slice(0, 3), "now", "x"], (p: unknown[]) => [...p, "x"]],
    ...[
      (p: unknown[]) => [...p.slice(0, 3), "infinity", "x"],
      (p: unknown[]) => [...p.slice(0, 4), 1],
    ],
    (p: unknown[]) => [...p.slice(0, 4), "a\0b"],
  ];
  for (const change of forged) {
    expect(await call(`${BUNDLES}?continue=${forge(change)}`)).toEqual(bad);
  }
});

test("a walk by version goes on behind the last version that there is", async () => {
  const consumer_name = await rest.consumer();
  const versions = [7, 1_999_999_999, 2_000_000_000, 2_147_483_647];
  for (const version of versions) {
    await rest.call("POST", BUNDLES, { consumer_name, version, manifests: [] });
  }

  const pages = await walk(
    BUNDLES,
    1,
    `${search(`consumer_name = '${consumer_name}'`)}&orderBy=version`,
  );

  expect(pages.flat().map(({ version }) => version)).toEqual(versions);
});

test("fields shows these members only, the id always, and of a document what lies below", async () => {
  const name = await rest.consumer();
  const made = await rest.call("POST", RESOURCES, { consumer_name: name, manifest: NGINX });
  await addBundles(rest, name, 1, "fields");
  const within = search(`consumer_name = '${name}'`);
  const first = async (path: string, fields: string) => {
    const { status, body } = await rest.call("GET", `${path}?${within}&fields=${fields}`);
    return status === 200 ? body.items[0] : body;
  };

  expect(await first(RESOURCES, "name")).toEqual({ id: made.body.id, name: made.body.name });
  expect(await first(RESOURCES, "id, ,kind,deleted_at")).toEqual({
    id: made.body.id,
    kind: "Resource",
  });
  expect(await first(RESOURCES, "manifest")).toEqual({ id: made.body.id, manifest: NGINX });
  expect(await first(RESOURCES, "delivery.state,manifest.metadata.name,manifest.kind")).toEqual({
    id: made.body.id,
    delivery: { state: "pending" },
    manifest: { kind: NGINX.kind, metadata: { name: NGINX.metadata.name } },
  });
  expect(await first(RESOURCES, "manifest,manifest.kind,manifest.*")).toEqual({
    id: made.body.id,
    manifest: NGINX,
  });
  expect(await first(BUNDLES, "metadata.labels.n,metadata.labels.x,manifests")).toEqual({
    id: "fields-0001",
    manifests: [],
    metadata: { labels: { n: "1" } },
  });
  expect(await first(RESOURCES, "nope,status,name.x,manifest..a")).toMatchObject({
    code: "maestro-8",
    reason: "The following field(s) doesn't exist in `Resource`: nope, name.x, manifest..a",
  });
  expect(await first(BUNDLES, "manifest,__proto__,status.")).toMatchObject({
    reason:
      "The following field(s) doesn't exist in `ResourceBundle`: manifest, __proto__, status.",
  });
  const { body } = await rest.call("GET", `${CONSUMERS}?fields=name&size=1`);
  expect(Object.keys(body)).toEqual(["items", "kind", "page", "size", "total"]);
  expect(Object.keys(body.items[0])).toEqual(["id", "name"]);
  const { body: empty } = await rest.call(
    "GET",
    `${CONSUMERS}?fields=name&${search("name = 'x'")}`,
  );
  expect(empty).toEqual({ items: [], kind: "ConsumerList", page: 1, size: 0, total: 0 });
});

test("labels of consumers are found in all three forms, and resources by any column", async () => {
  const one = await rest.call("POST", CONSUMERS, { labels: { env: "prod", "a.b/c": "d" } });
  await rest.call("POST", CONSUMERS, { labels: { env: "test" } });
  const { name, id } = one.body;
  const made = await rest.call("POST", RESOURCES, { consumer_name: name, manifest: NGINX });
  const idsOf = async (path: string, text: string) => {
    const { body } = await rest.call("GET", `${path}?size=-1&${search(text)}`);
    return [body.total, ...(body.items ?? [body]).map((item: Item) => item.id)];
  };

  for (
    const text of [
      `labels @> '{"env":"prod"}'`,
      "labels->>'env' = 'prod'",
      `labels->'env' @> '"prod"'`,
      "labels->>'a.b/c' in (d, e)",
      "labels is not null and labels->>'env' <> 'test'",
      `name = '${name}' and deleted_at is null and created_at > '2026-01-01'`,
      `not id <> '${id}'`,
      `consumers.name ~= '^${name}$'`,
    ]
  ) expect([text, ...await idsOf(CONSUMERS, text)]).toEqual([text, 1, id]);
  const mine = `consumer_name = '${name}'`;
  for (
    const text of [
      `${mine} and version = 1 and type = 'Single' and status is null and payload is not null`,
      `${mine} and payload->'data'->'manifests' @> '[{"kind":"${NGINX.kind}"}]'`,
      `${mine} and version between 0.5 and '1.5' and updated_at <= '2100-01-01T00:00:00+02:00'`,
      `${mine} and name ilike '${made.body.name.toUpperCase()}' and source = 'maestro'`,
      // Bundles are no part of this list, whatever is said behind an "or".
      `type = 'Bundle' or ${mine}`,
    ]
  ) expect([text, ...await idsOf(RESOURCES, text)]).toEqual([text, 1, made.body.id]);
  expect(await idsOf(CONSUMERS, "deleted_at is not null")).toEqual([0]);
});

test("a regular expression that is none, and one that would take for ever, are refused", async () => {
  for (
    const text of [
      "name ~= '('",
      "name ~! '[z-a]'",
      "name ~= '(a*)*\\1'",
      "name ~= '((a{255}){255}){255}'",
    ]
  ) {
    const { status, body } = await rest.call("GET", `${BUNDLES}?${search(text)}`);
    expect([text, status, body.code]).toEqual([text, 400, "maestro-21"]);
  }
  for (const text of ["name ~= '(a+)+$'", "name ~= '(a|a)*b'", "name ~= '((a*)*)*c'"]) {
    expect((await rest.call("GET", `${BUNDLES}?${search(text)}`)).status).toBe(200);
  }
});

test("no rows are read for a size of 0, and the total is right all the same", async () => {
  const consumer = await rest.consumer();
  await addBundles(rest, consumer, 3, "total");
  const within = search(`consumer_name = '${consumer}'`);

  const none = await rest.call("GET", `${BUNDLES}?size=0&${within}`);
  const far = await rest.call("GET", `${BUNDLES}?page=9&size=2&${within}`);

  expect(none.text).toBe('{"items":[],"kind":"ResourceBundleList","page":1,"size":0,"total":3}');
  expect(far.text).toBe('{"items":[],"kind":"ResourceBundleList","page":9,"size":0,"total":3}');
});

test("a bundle is the same in a list as by itself, whatever its source has written", async () => {
  const consumer = await rest.consumer();
  const manifest =
    '{"kind":"A","text":"}],\\"manifests\\":[","n":9007199254740993,"d":1.0,"a":"é"}';
  const specs = [
    `{"manifests":[${manifest}]}`,
    ` { "manifests" : [ ${manifest} , {} ] , "deleteOption" : {"propagationPolicy":"Orphan"} } `,
    `{"manifestConfigs":[{"resourceIdentifier":{"name":"x"}}],"manifests":[${manifest}],"executor":{}}`,
    `{"Manifests":[${manifest}]}`,
    `{"manifests":[],"manifests":[${manifest}]}`,
    `{"manifest\\u0073":[${manifest}]}`,
    '{"manifests":null}',
    "{}",
  ];
  for (const [index, spec] of specs.entries()) {
    await query(
      rest.database.db,
      "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
        "spec_event, status, status_version, status_sequence) values ('same-' || $1::text, " +
        "'same-' || $1::text, 's', $2, 'Bundle', 1, $3::json, '', '{}', " +
        '\'{"conditions":[{"type":"Applied","status":"True"}]}\', 1, 7)',
      [String(index), consumer, spec],
    );
  }

  const within = search(`consumer_name = '${consumer}'`);
  const { text } = await rest.call("GET", `${BUNDLES}?${within}&orderBy=id`);
  const { items } = JSON.parse(text);
  expect(items.length).toBe(specs.length);
  for (const [index, item] of items.entries()) {
    const single = await rest.call("GET", `${BUNDLES}/same-${index}`);
    expect([specs[index], single.status, item]).toEqual([specs[index], 200, single.body]);
  }
  expect(text.split('"n":9007199254740993').length).toBe(7);
  expect(text.split('"d":1.0').length).toBe(7);
});

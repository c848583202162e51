/** Lists that are too long to be held: they go out piece by piece, and whole or visibly broken. */

import { connect } from "node:net";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import type { ListOptions } from "../../src/lib/rest/list_door.ts";
import { serveRest } from "../../src/lib/rest/serve.ts";
import { eventually } from "../harness/eventually.ts";
import { memoryOf } from "../harness/memory.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { startServer } from "../harness/programs.ts";
import { openRest, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const TIMEOUT_MS = 120_000;
/** More than the buffers of a connection hold, by far. */
const MANY = 400;

type Db = Awaited<ReturnType<typeof createDatabase>>["db"];

/** Stores bundles of 49 KB; what is in them is not easily compressed. */
async function fill(db: Db, count: number): Promise<void> {
  await query(db, "insert into consumers (id, name) values ('big', 'big')", []);
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, metadata) select id, id, 'bench', 'big', 'Bundle', 1, json_build_object(" +
      "'manifests', json_build_array(json_build_object('kind', 'ConfigMap', 'data', text || id))), " +
      "'', '{}', '{\"labels\":{\"size\":\"é\"}}' from (select 'b' || lpad(n::text, 5, '0') as id " +
      "from generate_series(1, $1::int) n) made, (select string_agg(md5(n::text), '') as text " +
      "from generate_series(1, 1530) n) long",
    [count],
  );
  await query(db, "analyze resources", []);
}

/** The door on a port, over many bundles. */
async function openLong(lists: ListOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const lines: string[] = [];
  const log = testLogger((line) => lines.push(line));
  const rest = stack.use(await openRest({ log, lists }));
  await fill(rest.database.db, MANY);
  const server = stack.use(serveRest(rest.app, { hostname: "127.0.0.1", port: 0 }));
  const owned = stack.move();
  return {
    ...rest,
    lines,
    url: `http://127.0.0.1:${server.port}${BUNDLES}?size=-1`,
    port: server.port,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A client that has got the beginning of a list and takes no more until it is told to. */
async function beginReading(port: number, headers = "") {
  const socket = connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    socket.pause();
    begun.resolve();
  });
  socket.on("close", () => ended.resolve());
  // It closes after that, which is what counts.
  socket.on("error", () => {});
  socket.write(`GET ${BUNDLES}?size=-1 HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`);
  await begun.promise;
  return {
    socket,
    /** All that came. */
    async readOn() {
      socket.removeAllListeners("data");
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.resume();
      await ended.promise;
      return Buffer.concat(chunks);
    },
  };
}

const isWhole = (answer: Buffer) => answer.subarray(-5).toString() === "0\r\n\r\n";

/** The body of an answer in chunks. */
function bodyOf(answer: Buffer): string {
  let at = answer.indexOf("\r\n\r\n") + 4;
  const parts: Buffer[] = [];
  for (;;) {
    const end = answer.indexOf("\r\n", at);
    const length = parseInt(answer.subarray(at, end).toString(), 16);
    if (length === 0) return Buffer.concat(parts).toString();
    parts.push(answer.subarray(end + 2, end + 2 + length));
    at = end + 4 + length;
  }
}

test(
  "a long list whose first rows cannot be read is answered by an error, and not begun",
  async () => {
    await using long = await openLong();
    await query(long.database.db, "alter table consumers rename last_seen_at to heard_at", []);

    const answer = await fetch(long.url);

    expect([answer.status, answer.headers.get("content-encoding")]).toEqual([500, null]);
    expect(await answer.json()).toMatchObject({ kind: "Error" });
  },
  TIMEOUT_MS,
);

test("a long list is that of the short ones put together, plain and compressed", async () => {
  await using long = await openLong();
  const ask = (encoding: string) =>
    fetch(long.url, { headers: { "Accept-Encoding": encoding }, ...{ decompress: false } });
  const plain = await ask("identity");
  const gzip = await ask("gzip, deflate");
  const zstd = await ask("gzip;q=0.5, zstd");
  const head = await fetch(long.url, { method: "HEAD", headers: { "Accept-Encoding": "gzip" } });
  const text = await plain.text();
  const short = [];
  for (let page = 1; page <= MANY; page += 50) {
    const { body } = await long.call("GET", `${BUNDLES}?size=1&page=${page}`);
    short.push(...body.items);
  }
  const list = JSON.parse(text);

  expect(text.length).toBeGreaterThan(MANY * 49_000);
  expect(Object.keys(list)).toEqual(["items", "kind", "page", "size", "total"]);
  expect(list).toMatchObject({ kind: "ResourceBundleList", page: 1, size: MANY, total: MANY });
  expect(list.items.filter((_: unknown, index: number) => index % 50 === 0)).toEqual(short);
  expect([plain, gzip, zstd, head].map(({ headers }) => headers.get("content-encoding"))).toEqual(
    [null, "gzip", "zstd", "gzip"],
  );
  expect(gzip.headers.get("vary")).toBe("Authorization, Accept-Encoding");
  expect(gunzipSync(await gzip.arrayBuffer()).toString() === text).toBeTrue();
  expect(zstdDecompressSync(await zstd.arrayBuffer()).toString() === text).toBeTrue();
  expect(await head.text()).toBe("");
}, TIMEOUT_MS);

test("a list is read from the database no faster than its client takes it", async () => {
  await using long = await openLong();
  const client = await beginReading(long.port);
  // Another is read to its end meanwhile. What comes last in this one has not been read yet, and is gone before
  // anybody looks.
  await (await fetch(long.url)).arrayBuffer();
  await query(long.database.db, "delete from resources where id > 'b00300'", []);

  const answer = await client.readOn();
  const { items, size, total } = JSON.parse(bodyOf(answer));

  expect(total).toBe(MANY);
  expect(size).toBe(items.length);
  expect(size).toBe(300);
}, TIMEOUT_MS);

test.each(["", "Accept-Encoding: gzip\r\n"])(
  "a failure in the middle breaks the answer off, so that nobody takes it for whole: %j",
  async (headers) => {
    await using long = await openLong();
    const client = await beginReading(long.port, headers);
    await query(long.database.db, "alter table resources rename to resources_gone", []);

    const answer = await client.readOn();

    expect(answer.toString("latin1")).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(isWhole(answer)).toBeFalse();
    const told = await eventually(() => long.lines.find((line) => line.includes("broke off")));
    expect(told).toContain('relation \\"resources\\" does not exist');
  },
  TIMEOUT_MS,
);

test(
  "whoever goes away, and whoever takes nothing, makes room for the next long list",
  async () => {
    await using long = await openLong({ longMax: 1, waitMs: 100, stallMs: 1_000 });
    const count = async () => (await fetch(`${long.url.replace("-1", "400")}&fields=id`)).status;
    const first = await beginReading(long.port);
    const refused = await fetch(long.url);
    const short = await count();
    first.socket.destroy();
    await eventually(() => long.lines.some((line) => line.includes("the client has gone away")));
    const second = await beginReading(long.port);
    await eventually(() => long.lines.some((line) => line.includes("took nothing for 1000 ms")));
    const answer = await second.readOn();
    const third = await fetch(long.url);

    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({
      reason: "this server has 1 long lists under way, and takes no more",
    });
    expect(short).toBe(200);
    expect(isWhole(answer)).toBeFalse();
    expect(third.status).toBe(200);
    expect(JSON.parse(await third.text()).size).toBe(MANY);
  },
  TIMEOUT_MS,
);

test("whoever goes away before its turn has come keeps nobody waiting", async () => {
  await using long = await openLong({ longMax: 1, waitMs: 20_000 });
  const first = await beginReading(long.port);
  const impatient = connect(long.port, "127.0.0.1");
  impatient.write(`GET ${BUNDLES}?size=-1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  // It is there once a request on the same connection would be: the server takes them in order.
  await long.call("GET", `${BUNDLES}?size=1`);
  await (await fetch(`${long.url.replace("-1", "1")}`)).text();
  impatient.destroy();
  const waiting = fetch(long.url);
  first.socket.destroy();

  // The stall of a minute is not waited for.
  expect((await waiting).status).toBe(200);
  expect(JSON.parse(await (await waiting).text()).size).toBe(MANY);
}, TIMEOUT_MS);

test("a list that takes longer than any may is broken off", async () => {
  await using long = await openLong({ totalMs: 300 });
  const client = await beginReading(long.port);
  await eventually(() => long.lines.some((line) => line.includes("it took more than 300 ms")));

  expect(isWhole(await client.readOn())).toBeFalse();
}, TIMEOUT_MS);

test(
  "M33: a list of large bundles is streamed, and the server grows by 60 MB at most",
  async () => {
    await using database = await createDatabase();
    await fill(database.db, 2_000);
    await using server = await startServer({ databaseUrl: database.url, isFromSource: true });
    const read = async (size: number) => {
      const response = await fetch(`${server.rest}${BUNDLES}?size=${size}`);
      let bytes = 0;
      for await (const piece of response.body ?? []) bytes += piece.length;
      return bytes;
    };
    // What the engine compiles on the way counts once, and belongs to no list.
    for (let warmed = 0; warmed < 20; warmed++) await read(100);
    const before = memoryOf(server.pid).now;

    const bytes = await read(-1);
    const grown = memoryOf(server.pid).peak - before;

    expect(bytes).toBeGreaterThan(90 * 1024 * 1024);
    expect(grown).toBeLessThan(60);
  },
  TIMEOUT_MS,
);

/** Resource bundles over REST: what the Go source client reads, with the searches that it makes. */

import { expect, test } from "bun:test";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { decodeEvent } from "../../src/lib/wire/protobuf.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { specEvent } from "../harness/events.ts";
import { capturedFiles, protobufOf } from "../harness/golden.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;

async function publish(rest: RestHarness, event: CloudEvent): Promise<void> {
  const headers = { "Content-Type": "application/cloudevents+json" };
  const { status, text } = await rest.call(
    "POST",
    `${V1}/cloudevents`,
    encodeStructured(event),
    headers,
  );
  if (status !== 204) throw new Error(text);
}

/** Publishes a bundle of a source with these labels, and returns its id. */
async function create(
  rest: RestHarness,
  consumerName: string,
  { id = crypto.randomUUID() as string, source = "s1", labels = {} }: {
    id?: string;
    source?: string;
    labels?: Record<string, string>;
  } = {},
): Promise<string> {
  const metadata = JSON.stringify({
    name: "web",
    ...(Object.keys(labels).length > 0 && { labels }),
  });
  await publish(rest, specEvent({ id, consumerName, source, extensions: { metadata } }));
  return id;
}

const find = (rest: RestHarness, search: string, page = "") =>
  rest.call("GET", `${BUNDLES}?search=${encodeURIComponent(search)}${page}`);

/** The event of the first record of a step that has one on this channel. */
function captured(step: string, channel: string): CloudEvent {
  const file = capturedFiles().find(({ name }) => name === step);
  const record = file?.records.find((record) => record.channel === channel);
  const bytes = record === undefined ? undefined : protobufOf(record);
  if (bytes === undefined) throw new Error(`${step} has nothing on ${channel}`);
  return decodeEvent(bytes);
}

test("a bundle and its status are shown as the Go server shows them", async () => {
  await using rest = await openRest();
  const event = captured("grpc-02-create", "grpc-source-publish");
  await rest.call("POST", `${V1}/consumers`, { name: String(event.extensions["clustername"]) });
  const seen = capturedFiles().find(({ name }) => name === "grpc-06-status-v1")?.records
    .find(({ path }) => path?.startsWith(BUNDLES));
  const theirs = JSON.parse(seen?.body_text ?? "");

  await publish(rest, event);
  const before = await rest.call("GET", `${BUNDLES}/${theirs.id}`);
  const report = captured("grpc-06-status-v1", "grpc-agent-publish");
  await createReportAcceptor(rest.database.db, testLogger())(readReport(report, "maestro"));
  const { status, body } = await rest.call("GET", `${BUNDLES}/${theirs.id}`);

  // What the Go server does not say: where the bundle is on its way.
  const { delivery } = body;
  const ofOurs = { created_at: body.created_at, updated_at: body.updated_at, delivery };
  const metadata = { ...theirs.metadata, creationTimestamp: body.metadata.creationTimestamp };
  expect(status).toBe(200);
  expect(body).toEqual({ ...theirs, ...ofOurs, metadata });
  expect(body.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(before.body).not.toHaveProperty("status");
});

test("the searches of the Go source client find what they ask for", async () => {
  await using rest = await openRest();
  const [one, two] = [await rest.consumer(), await rest.consumer()];
  const bundles: Record<string, string> = {
    a: await create(rest, one, { labels: { env: "x", app: "web" } }),
    b: await create(rest, one, { labels: { env: "y" } }),
    c: await create(rest, two, { labels: { env: "null" } }),
    d: await create(rest, two),
    e: await create(rest, two, { source: "s'2", labels: { env: "x" } }),
  };
  const labels = "payload->'metadata'->'labels'";
  const searches: Record<string, string> = {
    "": "abcde",
    "source='s1'": "abcd",
    [`source='s1' and consumer_name='${one}'`]: "ab",
    [`source='s1' and (consumer_name='${one}' or consumer_name='${two}')`]: "abcd",
    "source='s''2'": "e",
    [`source='s1' and ${labels}@>'{"env":"x","app":"web"}'`]: "a",
    [`source='s1' and ${labels}->>'env'in('x','y')`]: "ab",
    [`source='s1' and ${labels}->>'env'not in('x')`]: "bc",
    [`source='s1' and ${labels}->>'env'<>'x'`]: "bc",
    [`source='s1' and ${labels}->>'env'<>null`]: "ab",
    [`source='s1' and ${labels}@>'{"env":"y"}' and ${labels}->>'env'in('x','y')`]: "b",
    [`${labels}->>'env' = 'x' AND consumer_name = '${two}'`]: "e",
    "source='s1' and source='other'": "",
    [`id in ('${bundles["a"]}', '${bundles["d"]}')`]: "ad",
    [`resources.name='${bundles["c"]}'`]: "c",
  };

  const found: Record<string, string> = {};
  for (const search of Object.keys(searches)) {
    const { status, body } = await find(rest, search);
    const names = Object.entries(bundles)
      .filter(([, id]) => body.items.some((item: { id: string }) => item.id === id))
      .map(([name]) => name).join("");
    found[search] = status === 200 && body.total === names.length ? names : JSON.stringify(body);
  }

  expect(found).toEqual(searches);
});

test.each([
  "garbage",
  "source",
  "source=",
  "source='a",
  "source='a' and",
  "(source='a'",
  "source='a'; drop table resources",
  "payload='a'",
  "payload->'spec'->'labels'@>'{}'",
  "source in ()",
  "no_such_column='a'",
  "1=1",
  "source='a' and ".repeat(1_100) + "source='a'",
])("a search of another form is refused with its text: %s", async (search) => {
  await using rest = await openRest();

  const { status, body } = await find(rest, search);

  expect(status).toBe(400);
  expect(["maestro-21", "maestro-8"]).toContain(body.code);
  expect(body.reason.length).toBeLessThan(500);
});

test("pages are those of one stable order, and say how much there is", async () => {
  await using rest = await openRest();
  const consumer = await rest.consumer();
  const ids: string[] = [];
  for (let count = 0; count < 5; count++) ids.push(await create(rest, consumer));

  const pages = [];
  for (const page of [1, 2, 3]) {
    pages.push((await find(rest, "source='s1'", `&page=${page}&size=2`)).body);
  }

  expect(pages.map(({ kind, page, size, total }) => [kind, page, size, total])).toEqual([
    ["ResourceBundleList", 1, 2, 5],
    ["ResourceBundleList", 2, 2, 5],
    ["ResourceBundleList", 3, 1, 5],
  ]);
  expect(pages.flatMap(({ items }) => items.map(({ id }: { id: string }) => id))).toEqual(ids);
});

test("a bundle is shown while it is being deleted; one that is none is not found", async () => {
  await using rest = await openRest();
  const consumer = await rest.consumer();
  const id = await create(rest, consumer);
  const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", namespace: "b" } };
  const single = await rest.call("POST", `${V1}/resources`, { consumer_name: consumer, manifest });

  const deleted = await rest.call("DELETE", `${BUNDLES}/${id}`);
  const again = await rest.call("DELETE", `${BUNDLES}/${id}`);
  const { body } = await rest.call("GET", `${BUNDLES}/${id}`);
  const unknown = crypto.randomUUID();
  const missing = await rest.call("GET", `${BUNDLES}/${unknown}`);
  const foreign = await rest.call("GET", `${BUNDLES}/${single.body.id}`);
  const kept = await rest.call("DELETE", `${BUNDLES}/${single.body.id}`);

  expect([deleted.status, again.status]).toEqual([204, 204]);
  expect(body).toHaveProperty("deleted_at");
  expect(body.metadata).toHaveProperty("deletionTimestamp");
  expect(missing.status).toBe(404);
  expect(missing.body).toMatchObject({
    kind: "Error",
    id: "7",
    code: "maestro-7",
    reason: `Resource with id='${unknown}' not found`,
  });
  expect([foreign.status, kept.status]).toEqual([404, 404]);
  expect((await rest.call("GET", BUNDLES)).body.total).toBe(1);
});

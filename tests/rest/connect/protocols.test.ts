/** The same calls over every protocol that browsers and curl speak. */

import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { CloudEventService, PublishRequestSchema } from "../../../src/gen/cloudevent_pb.ts";
import { ConsumerService } from "../../../src/gen/maestro/v1/consumer_pb.ts";
import { ResourceBundleService } from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { updateConsumer } from "../../../src/lib/consumer/consumers.ts";
import { encodePublishRequest } from "../../../src/lib/wire/protobuf.ts";
import { canonicalTime } from "../../../src/lib/wire/time.ts";
import { transports } from "../../harness/connect.ts";
import { bundle, specEvent, statusEvent } from "../../harness/events.ts";
import { publish } from "../../harness/grpc.ts";
import { openWatchDoors } from "../../harness/watch.ts";

const LIST = "maestro.v1.ResourceBundleService/List";
const GET = "maestro.v1.ResourceBundleService/Get";

const NUMBERS = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a",` +
  `"namespace":"default"},"data":{"big":9007199254740993,"one":1.0,"small":-0}}`;

function call(rest: string, method: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(`${rest}/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

/** The code of a refusal. */
const codeOf = (promise: Promise<unknown>) =>
  promise.then(() => "ok", (error) => Code[ConnectError.from(error).code]);

test("a bundle is shown as on REST, with the state of its delivery and what its agent reports", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const metadata = '{"labels":{"tier":"gold"}}';
  await publish(doors.sources, specEvent({ id: "web", consumerName, extensions: { metadata } }));
  await publish(doors.agents, statusEvent({ id: "web", consumerName, message: "up" }));

  const answer = await call(doors.rest, GET, { id: "web" }, { "X-Operation-ID": "mine" });
  const { resourceBundle } = await answer.json() as { resourceBundle: Record<string, unknown> };
  const onRest = await (await fetch(`${doors.bundles}/web`)).json() as Record<string, unknown>;

  expect(answer.headers.get("x-operation-id")).toBe("mine");
  expect(resourceBundle).toMatchObject({
    ...{ id: "web", name: "web", consumerName, source: "tests", version: 1 },
    delivery: { state: "STATE_APPLIED", message: "version 1 is applied", appliedVersion: 1 },
    status: {
      observedVersion: 1,
      conditions: [{
        ...{ type: "Applied", status: "True", reason: "Test", message: "up" },
        ...{ observedGeneration: "1", lastTransitionTime: "2026-01-02T03:04:05Z" },
      }],
    },
  });
  expect(canonicalTime(String(resourceBundle?.["createdAt"])))
    .toBe(canonicalTime(String(onRest["created_at"])));
  const manifests = (resourceBundle?.["manifests"] as string[]).map((text) => JSON.parse(text));
  expect(manifests).toEqual(onRest["manifests"] as unknown[]);
  expect(JSON.parse(String(resourceBundle?.["metadata"]))).toEqual(onRest["metadata"]);
});

test("M26: documents keep their numbers, over every protocol and both ways", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();

  for (const [protocol, transport] of Object.entries(transports(doors.rest))) {
    const client = createClient(ResourceBundleService, transport);
    const id = protocol.toLowerCase().replaceAll(" ", "-");
    const manifests = [NUMBERS.replace('"a"', `"${id}"`)];
    const applied = await client.apply({ id, consumerName, manifests });
    const { resourceBundle } = await client.get({ id });
    const [text] = resourceBundle?.manifests ?? [];

    expect(applied.resourceBundle?.manifests).toEqual(resourceBundle?.manifests ?? []);
    expect(text).toContain('"big":9007199254740993,"one":1.0,"small":-0');
  }
});

test("curl reads by GET as well, and is refused in JSON", async () => {
  await using doors = await openWatchDoors();
  const read = (message: string) =>
    fetch(`${doors.rest}/${GET}?encoding=json&message=${encodeURIComponent(message)}`);
  const shown = async (answer: Response) => [answer.status, await answer.json()];

  expect(await shown(await read('{"id":"nope"}'))).toEqual([404, {
    code: "not_found",
    message: "Resource with id='nope' not found",
  }]);
  expect(await shown(await read("{}"))).toEqual([400, {
    code: "invalid_argument",
    message: "id is required",
  }]);
  expect(await shown(await call(doors.rest, GET, '{"id":"a\\u0000"}'))).toEqual([400, {
    code: "invalid_argument",
    message: "id must not contain \\u0000",
  }]);
  // A mistyped name must not pass for something that was left out.
  expect((await call(doors.rest, LIST, { serch: "name = 'a'" })).status).toBe(400);
  expect((await call(doors.rest, LIST, "{")).status).toBe(400);
  expect((await fetch(`${doors.rest}/maestro.v1.ResourceBundleService/Delete`)).status).toBe(405);
  expect((await call(doors.rest, "maestro.v1.ResourceBundleService/Nope", {})).status).toBe(404);
});

test("a deadline further away than timers reach is none that has passed", async () => {
  await using doors = await openWatchDoors();
  const id = "far";
  await publish(doors.sources, specEvent({ id, consumerName: await doors.consumer() }));
  const web = { "Content-Type": "application/grpc-web+proto" };
  const named = new Uint8Array([0, 0, 0, 0, 5, 10, 3, ...Buffer.from(id)]);

  for (const timeout of ["2147483647", "2147483648", "9999999999"]) {
    const answer = await call(doors.rest, GET, { id }, { "Connect-Timeout-Ms": timeout });
    expect([timeout, answer.status]).toEqual([timeout, 200]);
  }
  for (const timeout of ["596H", "597H", "99999999M", "99999999S", "99999999m"]) {
    const answer = await call(doors.rest, GET, named, { ...web, "Grpc-Timeout": timeout });
    expect([timeout, await answer.text()]).toEqual([timeout, expect.stringContaining("status: 0")]);
  }
});

test("a request may be compressed; one that is too large is refused, whole or compressed", async () => {
  await using doors = await openWatchDoors();
  const gzip = (text: string) =>
    call(doors.rest, LIST, new Uint8Array(gzipSync(text)), {
      "Content-Encoding": "gzip",
    });
  const large = JSON.stringify({ search: "x".repeat(5 * 1024 * 1024) });

  expect((await gzip("{}")).status).toBe(200);
  for (const answer of [await gzip(large), await call(doors.rest, LIST, large)]) {
    expect(answer.status).toBeOneOf([400, 429]);
    expect(await answer.text()).toMatch(/4194304/);
  }
});

test("pages go on behind the last id, whatever comes and goes meanwhile", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const ids = Array.from({ length: 70 }, (_, index) => `b${String(index).padStart(3, "0")}`);
  await Promise.all(ids.map((id) => publish(doors.sources, specEvent({ id, consumerName }))));
  await publish(doors.sources, specEvent({ id: "other", source: "others", consumerName }));
  const client = createClient(ResourceBundleService, transports(doors.rest)["gRPC-Web"]);
  const search = "source = 'tests'";
  const remove = async (id: string) => {
    await client.delete({ id });
    await publish(doors.agents, statusEvent({ id, consumerName, isDeleted: true }));
  };

  const seen: string[] = [];
  for (let pageToken = "";;) {
    const page = await client.list({ search, pageSize: 30, pageToken });
    seen.push(...page.resourceBundles.map(({ id }) => id));
    if (page.nextPageToken === "") break;
    pageToken = page.nextPageToken;
    // What was told is gone, and nothing takes the place of what was not.
    await remove(page.resourceBundles[0]?.id ?? "");
  }

  expect(seen).toEqual(ids);
  expect(await codeOf(client.list({ pageToken: "x" }))).toBe("InvalidArgument");
  expect(await codeOf(client.list({ pageSize: -1 }))).toBe("InvalidArgument");
  expect(await codeOf(client.list({ search: "drop table" }))).toBe("InvalidArgument");
});

test("M33: large bundles make a page shorter than it was asked for", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const data = bundle("x".repeat(450_000));
  const ids = [..."abcdefghijkl"];
  await Promise.all(
    ids.map((id) => publish(doors.sources, specEvent({ id, consumerName, data }))),
  );
  const client = createClient(ResourceBundleService, transports(doors.rest)["Connect in binary"]);

  const first = await client.list({ pageSize: 500 });
  const second = await client.list({ pageSize: 500, pageToken: first.nextPageToken });

  expect(first.resourceBundles).toHaveLength(10);
  expect(second.resourceBundles.map(({ id }) => id)).toEqual(["k", "l"]);
  expect(second.nextPageToken).toBe("");
});

test("consumers are listed by pages and shown", async () => {
  await using doors = await openWatchDoors();
  const names = [await doors.consumer(), await doors.consumer(), await doors.consumer()];
  const client = createClient(ConsumerService, transports(doors.rest)["Connect in JSON"]);

  const first = await client.list({ pageSize: 2 });
  const second = await client.list({ pageSize: 2, pageToken: first.nextPageToken });
  const all = [...first.consumers, ...second.consumers];
  const id = all[0]?.id ?? "";
  await updateConsumer(doors.db, id, { labels: { zone: "a" } });

  expect(all.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  expect(second.nextPageToken).toBe("");
  expect((await client.get({ id })).consumer?.labels).toEqual({ zone: "a" });
  expect(await codeOf(client.get({ id: "nope" }))).toBe("NotFound");
});

test("M28: a source publishes and subscribes from a browser, and touches only what is its own", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const request = (parts: Parameters<typeof specEvent>[0]) =>
    fromBinary(PublishRequestSchema, encodePublishRequest(specEvent(parts)));

  for (const [protocol, transport] of Object.entries(transports(doors.rest))) {
    const client = createClient(CloudEventService, transport);
    const id = crypto.randomUUID();
    const aborter = new AbortController();
    const stream = client.subscribe({ source: protocol }, { signal: aborter.signal });
    const events = stream[Symbol.asyncIterator]();
    const next = async () => (await events.next()).value?.type.split(".").slice(-2).join(".");
    const beat = await next();

    await client.publish(request({ id, consumerName, source: protocol }));
    const stolen = { id, consumerName, source: "thief", action: "delete_request" as const };
    const theft = await codeOf(client.publish(request(stolen)));
    await publish(doors.agents, statusEvent({ id, consumerName }));
    const told = await next();
    aborter.abort();

    expect([protocol, beat, theft, told]).toEqual([
      ...[protocol, "cloudevents.heartbeat", "Unknown", "status.update_request"],
    ]);
  }
});

/** Events over HTTP, as the CloudEvents HTTP binding and its official SDK send them. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { CloudEvent as SdkEvent, HTTP } from "cloudevents";
import { query } from "../../src/lib/db/query.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { bundle, specEvent, statusEvent, statusResync } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { type Answer, openRest, type RestHarness, specDoor, V1 } from "./harness.ts";

const PATH = `${V1}/cloudevents`;
const STRUCTURED = { "Content-Type": "application/cloudevents+json" };
const BATCH = { "Content-Type": "application/cloudevents-batch+json" };

let rest: RestHarness;
let consumerName: string;
beforeAll(async () => {
  rest = await openRest();
  consumerName = await rest.consumer();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

const send = (event: CloudEvent, headers: Record<string, string> = STRUCTURED) =>
  rest.call("POST", PATH, encodeStructured(event), headers);

const sendBatch = (events: CloudEvent[]) =>
  rest.call("POST", PATH, `[${events.map(encodeStructured).join(",")}]`, BATCH);

/** The event in binary mode. */
function headersOf(event: CloudEvent): Record<string, string> {
  const entries = Object.entries(encodeMqtt(event).userProperties);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, encodeURIComponent(String(value))]),
  );
}

interface Row {
  source: string;
  version: number;
  type: string;
  spec: string;
  metadata: string | null;
  is_deleting: boolean;
}

async function stored(id: string): Promise<Row | undefined> {
  const text =
    "select source, version, type, spec, metadata, deleted_at is not null as is_deleting " +
    "from resources where id = $1";
  return (await query<Row>(rest.database.db, text, [id]))[0];
}

const create = (parts: Partial<Parameters<typeof specEvent>[0]> = {}) =>
  specEvent({ id: crypto.randomUUID(), consumerName, ...parts });

const idOf = (event: CloudEvent) => String(event.extensions["resourceid"]);

const outcome = ({ status, body }: Answer) => [status, body?.code, body?.reason];

test("a structured event is stored as over gRPC, digit by digit", async () => {
  const data = '{"manifests":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},' +
    '"n":9007199254740993,"d":1.0}]}';
  const event = create({ data });

  const { status, text } = await send(event);

  expect([status, text]).toEqual([204, ""]);
  expect(await stored(idOf(event))).toMatchObject({ source: "tests", version: 1, spec: data });
});

test("an event in headers is stored as over gRPC, its attributes decoded", async () => {
  const metadata = '{"name":"50% größer","labels":{"a":"b"}}';
  const event = create({ extensions: { metadata } });
  const headers = { ...headersOf(event), "Content-Type": "application/json; charset=UTF-8" };

  const { status } = await rest.call("POST", PATH, event.data, headers);

  expect(status).toBe(204);
  const row = await stored(idOf(event));
  expect(row).toMatchObject({ source: "tests", spec: event.data ?? "" });
  expect(JSON.parse(row?.metadata ?? "")).toEqual(JSON.parse(metadata));
});

test("what peers would not read is stored as they do, what they read in any case is seen", async () => {
  const manifests = '[{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}]';
  const executor = '{"subject":{"type":"ServiceAccount"}}';
  const renamed = create({ data: `{"manifests":${manifests},"executor":${executor}}` });
  const capital = create({ data: `{"MANIFESTS":${manifests}}` });

  expect((await send(renamed)).status).toBe(204);
  expect((await send(capital)).status).toBe(204);
  const bad = await send(create({ data: '{"MANIFESTS":[{"kind":"A"}]}' }));

  expect((await stored(idOf(renamed)))?.spec)
    .toBe(`{"manifests":${manifests},"executer":${executor}}`);
  expect((await stored(idOf(capital)))?.spec).toBe(capital.data ?? "");
  expect(bad.body.reason).toContain("apiVersion: Required value");
});

test("a resource is updated and deleted by events", async () => {
  const event = create();
  const id = idOf(event);
  await send(event);

  const updated = await send(
    create({ id, version: 1, action: "update_request", data: bundle("2") }),
  );
  const row = await stored(id);
  const deletion = create({ id, version: 2, action: "delete_request" });
  const deleted = await rest.call("POST", PATH, undefined, headersOf(deletion));

  expect([updated.status, deleted.status]).toEqual([204, 204]);
  expect(row).toMatchObject({ version: 2, spec: bundle("2") });
  expect(await stored(id)).toMatchObject({ is_deleting: true });
});

test("what gRPC refuses is refused with the status that HTTP has for it", async () => {
  const event = create();
  const id = idOf(event);
  await send(event);
  const update = (parts: Partial<Parameters<typeof specEvent>[0]>) =>
    send(create({ id, action: "update_request", data: bundle("2"), ...parts }));

  expect(outcome(await send(event))).toEqual([409, "maestro-6", "This Resource already exists"]);
  expect(outcome(await update({ version: 7 }))).toEqual([
    409,
    "maestro-6",
    "the resource version is not the latest, the latest version: 1",
  ]);
  expect(outcome(await update({ id: "nothing" }))).toEqual([
    404,
    "maestro-7",
    "Resource with id='nothing' not found",
  ]);
  expect((await update({ source: "other" })).status).toBe(403);
  expect(outcome(await send(create({ consumerName: "no-such-consumer" })))).toEqual([
    400,
    "maestro-8",
    expect.stringContaining("fk_resources_consumers"),
  ]);
  expect(outcome(await send(create({ data: '{"manifests":[{}]}' })))).toEqual([
    400,
    "maestro-8",
    expect.stringContaining("apiVersion: Required value"),
  ]);
  expect(outcome(await send(create({ extensions: { resourceversion: "x" } })))).toEqual([
    400,
    "maestro-8",
    "failed to decode cloudevent: failed to get resourceversion extension: " +
    "it must be a 32-bit integer",
  ]);
  expect(outcome(await send(create({ extensions: { metadata: "no JSON" } })))).toEqual([
    400,
    "maestro-8",
    "failed to decode cloudevent: Cannot read the metadata extension: it is not JSON",
  ]);
});

test("events that make no sense over HTTP are refused with the door that they need", async () => {
  const report = statusEvent({ id: "a", consumerName });
  const constructor = { ...create(), type: create().type.replace("create_request", "constructor") };

  expect((await send(statusResync("tests", []))).body.reason).toContain("publish it over gRPC");
  expect((await send(report)).body.reason).toContain("statuses come from agents");
  expect((await send(constructor)).body.reason).toBe("unsupported action constructor");
  expect((await send({ ...create(), type: "a.b" })).body.reason)
    .toContain("failed to parse cloud event type");
});

test("a body that is no event is refused with what it must be", async () => {
  const event = create();
  const post = (body: string, headers: Record<string, string>) =>
    rest.call("POST", PATH, body, headers);
  const binary = headersOf(event);
  const { "ce-id": _, ...nameless } = binary;

  const plain = await post("{}", { "Content-Type": "application/json" });
  const xml = await post("<a/>", { "Content-Type": "application/cloudevents+xml" });
  const text = await post("hello", { ...binary, "Content-Type": "text/plain" });

  expect(outcome(plain)).toEqual([415, "maestro-21", expect.stringContaining("ce-specversion")]);
  expect(xml.status).toBe(415);
  expect(outcome(text)).toEqual([415, "maestro-21", expect.stringContaining('not "text/plain"')]);
  expect((await post(event.data ?? "", { ...nameless, "Content-Type": "application/json" })).body)
    .toMatchObject({ reason: "failed to decode cloudevent: its attribute id is missing" });
  expect((await post("{", STRUCTURED)).body.reason).toBe(
    "Cannot read the cloudevent: it is not JSON",
  );
  expect(
    (await post("{}", { "Content-Type": "application/cloudevents+json; charset=klingon" })).status,
  )
    .toBe(415);
  expect((await post("x".repeat(5_000_000), STRUCTURED)).status).toBe(413);
  expect((await rest.call("GET", PATH)).headers.get("allow")).toBe("POST");
});

test("a body in another charset is read as its header says", async () => {
  const event = create();
  const body = new Uint8Array(
    new Uint16Array(
      [...encodeStructured(event)].map((char) => char.charCodeAt(0)),
    ).buffer,
  );

  const { status } = await rest.app.request(PATH, {
    method: "POST",
    headers: { "Content-Type": 'application/cloudevents+json; charset="utf-16le"' },
    body,
  });

  expect(status).toBe(204);
  expect(await stored(idOf(event))).toBeDefined();
});

test("the request that the guide shows is accepted", async () => {
  const guide = await Bun.file("docs/events_over_http.md").text();
  const shown = /```sh\n(curl[\s\S]*?)```/.exec(guide)?.[1] ?? "";
  const headers = Object.fromEntries(
    [...shown.matchAll(/-H "([^:"]+): ([^"]*)"/g)].map((
      [, name = "", value = ""],
    ) => [name, value]),
  );
  const data = /-d '([^']*)'/.exec(shown)?.[1];

  const { status } = await rest.call("POST", PATH, data, {
    ...headers,
    "ce-clustername": consumerName,
  });

  expect(shown).toContain(PATH);
  expect(status).toBe(204);
  expect((await stored("web"))?.spec).toBe(data ?? "");
});

test("what the official SDK sends is taken in its modes", async () => {
  const event = create({ extensions: { metadata: '{"name":"n"}' } });
  const { data, extensions: { resourceid: _, ...extensions }, ...core } = event;
  const withId = (id: string) =>
    new SdkEvent({ ...core, ...extensions, resourceid: id, data: JSON.parse(data ?? "") });
  const messages = [HTTP.binary(withId("sdk-binary")), HTTP.structured(withId("sdk-structured"))];

  for (const { headers, body } of messages) {
    const answer = await rest.call("POST", PATH, String(body), headers as Record<string, string>);
    expect(answer.status).toBe(204);
  }

  for (const id of ["sdk-binary", "sdk-structured"]) {
    expect(JSON.parse((await stored(id))?.spec ?? "")).toEqual(JSON.parse(data ?? ""));
  }
});

test("a batch is accepted event by event, and each is answered for itself", async () => {
  const [one, two] = [create(), create()];
  const body =
    `[${encodeStructured(one)},{"id":7},null,${encodeStructured({ ...two, source: "" })},` +
    `${encodeStructured(two)},${encodeStructured(one)}]`;

  const { status, body: answer } = await rest.call("POST", PATH, body, BATCH);

  expect(status).toBe(200);
  expect(answer).toMatchObject({ kind: "CloudEventResultList", size: 6 });
  expect(answer.items.map((item: { status: number }) => item.status))
    .toEqual([204, 400, 400, 400, 204, 409]);
  expect(answer.items[0]).toEqual({ id: one.id, source: one.source, status: 204 });
  expect(answer.items[3].reason).toContain("its attribute source is missing");
  expect(answer.items[5]).toEqual({
    id: one.id,
    source: one.source,
    status: 409,
    code: "maestro-6",
    reason: "This Resource already exists",
  });
  expect([await stored(idOf(one)), await stored(idOf(two))]).not.toContain(undefined);
});

test("events of one resource keep the order that they have in a batch", async () => {
  const id = crypto.randomUUID();
  const update = (value: string) => create({ id, action: "update_request", data: bundle(value) });

  const { body } = await sendBatch([create({ id }), update("2"), update("3"), update("4")]);

  expect(body.items.map((item: { status: number }) => item.status)).toEqual([204, 204, 204, 204]);
  expect(await stored(id)).toMatchObject({ version: 4, spec: bundle("4") });
});

test("a batch of a thousand is accepted, one of more is refused whole, an empty one is fine", async () => {
  const thousand = Array.from({ length: 1_000 }, () => create());

  const accepted = await sendBatch(thousand);
  const refused = await sendBatch([...thousand, create()]);
  const empty = await sendBatch([]);

  expect(accepted.body.items.every((item: { status: number }) => item.status === 204)).toBeTrue();
  expect([refused.status, refused.body.reason]).toEqual([
    400,
    "failed to decode cloudevent: the batch has 1001 events, at most are 1000",
  ]);
  expect([empty.status, empty.body]).toEqual([200, {
    kind: "CloudEventResultList",
    size: 0,
    items: [],
  }]);
});

test("an event of a batch that fails for no fault of its own says so, and the log says why", async () => {
  const lines: string[] = [];
  const fail = () => Promise.reject(new Error("secret of the house"));
  const spec = specDoor(fail);
  await using broken = await openRest({ spec, log: testLogger((line) => lines.push(line)) });

  const { body } = await broken.call("POST", PATH, `[${encodeStructured(create())}]`, BATCH);

  expect(body.items[0]).toMatchObject({ status: 500, reason: "Internal error" });
  expect(lines.join("")).toContain("secret of the house");
});

test("events need the token that every other route needs", async () => {
  const authenticate = () =>
    Promise.reject(new MaestroError("unauthenticated", "Bearer token is missing"));
  await using closed = await openRest({ authenticate });

  const { status } = await closed.call("POST", PATH, encodeStructured(create()), STRUCTURED);

  expect(status).toBe(401);
});

/** The vectors of the specification, each as what our side makes of it or makes it from. V22 is in topics. */

import { expect, test } from "bun:test";
import { GrpcError, refuseSource } from "../../src/lib/grpc/errors.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { parseJson } from "../../src/lib/json.ts";
import { presentResource } from "../../src/lib/rest/present.ts";
import { readSpecChange } from "../../src/lib/spec/change.ts";
import { type SentRow, toForgottenEvent, toSpecEvent } from "../../src/lib/spec/event.ts";
import type { NewResource, ResourceUpdate } from "../../src/lib/spec/accept.ts";
import { readReport } from "../../src/lib/status/accept.ts";
import { toStatusEvent } from "../../src/lib/status/event.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES, MANIFESTS } from "../../src/lib/wire/event.ts";
import { parseEventType } from "../../src/lib/wire/event_type.ts";
import { decodeEvent, encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { parseSpec } from "../../src/lib/wire/read_spec.ts";
import { decodeSpecResync, decodeStatusResync } from "../../src/lib/wire/resync.ts";
import { legacyStatusHash, NO_STATUS_HASH, statusHash } from "../../src/lib/wire/status_hash.ts";
import { decodeStructured } from "../../src/lib/wire/structured.ts";
import { parseStatus } from "../../src/lib/wire/work_status.ts";
import { capturedFiles, mqttOf, vector, VECTORS } from "../harness/golden.ts";
import { decodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { attributesOf, meaning, ROADS } from "./roads.ts";

const CREATED_AT = "2026-01-02T03:04:05.123456Z";

/** The row of a resource that this event has brought. */
function rowOf(event: CloudEvent, parts: Partial<SentRow> = {}): SentRow {
  return {
    id: String(event.extensions[EXT.resourceId]),
    consumer_name: String(event.extensions[EXT.clusterName]),
    data_type: parseEventType(event.type).dataType,
    version: 1,
    spec: event.data ?? "{}",
    spec_event: attributesOf(event),
    metadata: event.extensions[EXT.metadata] as string | undefined ?? null,
    created_at: CREATED_AT,
    deleted_at: null,
    sent_at: CREATED_AT,
    ...parts,
  };
}

/** The event for an agent, without what ours say in addition. */
function specOf(row: SentRow, options: Parameters<typeof toSpecEvent>[1]): CloudEvent {
  const sent = toSpecEvent(row, options);
  expect(sent.extensions[EXT.readAt]).toBe(row.sent_at);
  delete sent.extensions[EXT.readAt];
  return sent;
}

/** What the server is asked to store by a source's event. */
async function changeOf(event: CloudEvent) {
  const asked: { action: string; input: NewResource | ResourceUpdate | { id: string } }[] = [];
  const keep = (action: string) => (input: NewResource | ResourceUpdate | { id: string }) => {
    asked.push({ action, input });
    return Promise.resolve(0);
  };
  const acceptor = {
    create: keep("create"),
    update: keep("update"),
    delete: async (input: { id: string }) => void await keep("delete")(input),
  };
  await readSpecChange(event, parseEventType(event.type)).accept(acceptor);
  return asked[0];
}

const fresh = (event: CloudEvent, like: CloudEvent) => ({
  ...event,
  id: like.id,
  ...(like.time === undefined ? {} : { time: like.time }),
});

for (const name of Object.keys(VECTORS.vectors).filter((name) => name !== "V16")) {
  for (const [road, travel] of Object.entries(ROADS)) {
    test(`${name} means the same at the end of the road over ${road}`, () => {
      const event = vector(name);

      expect(meaning(travel(event))).toEqual(meaning(event));
    });
  }
}

test("V1: a source's create is stored as version 1, its data byte for byte", async () => {
  const event = vector("V1");

  const change = await changeOf(event);

  expect(change).toMatchObject({
    action: "create",
    input: {
      id: "916777c0-0950-56c5-bb78-c884a111303b",
      source: "grpc",
      consumerName: "cluster1",
      type: "Bundle",
      version: 1,
      spec: event.data,
      metadata: event.extensions[EXT.metadata],
    },
  });
});

test("V2: the agent gets the source's create under the server's name, with its id and time", () => {
  const sent = specOf(rowOf(vector("V1")), { sourceId: "maestro" });

  expect(meaning(sent)).toEqual(meaning(vector("V2")));
});

test("V3: an agent's report is read, and its hash is the one that we compute", () => {
  const event = vector("V3");

  const report = readReport(event, "maestro");

  expect(report).toMatchObject({
    resourceId: "916777c0-0950-56c5-bb78-c884a111303b",
    consumerName: "cluster1",
    version: 1,
    appliedVersion: 1,
    sequence: "2006924433683386368",
    isDeleted: false,
    hash: VECTORS.hash_V3,
  });
  expect(statusHash(parseStatus(event.data ?? ""))).toBe(VECTORS.hash_V3);
  expect(legacyStatusHash(parseStatus(event.data ?? ""))).toBe(VECTORS.eraA_V3);
});

test("V4: the source gets the report with its own spec and metadata", () => {
  const [spec, report] = [vector("V1"), vector("V3")];

  const told = toStatusEvent({
    spec: spec.data ?? null,
    metadata: spec.extensions[EXT.metadata] as string,
    status: report.data ?? "",
    status_event: attributesOf(report),
    created_at: CREATED_AT,
    deleted_at: null,
  });

  expect(meaning(told)).toEqual(meaning(vector("V4")));
});

test("V5: a source's update names the version that it replaces", async () => {
  expect(await changeOf(vector("V5"))).toMatchObject({
    action: "update",
    input: { id: "916777c0-0950-56c5-bb78-c884a111303b", source: "grpc", version: 1 },
  });
});

test("V6: the agent gets the source's update as the next version", () => {
  const sent = specOf(rowOf(vector("V5"), { version: 2 }), { sourceId: "maestro" });

  expect(meaning(sent)).toEqual(meaning(vector("V6")));
});

test("V7: a source's delete needs no data", async () => {
  expect(await changeOf(vector("V7"))).toEqual({
    action: "delete",
    input: { id: "916777c0-0950-56c5-bb78-c884a111303b", source: "grpc" },
  });
});

test("V8: the agent gets a deletion with all data, and an id and time of its own", () => {
  const row = rowOf(vector("V5"), { version: 2, deleted_at: "2026-01-02T03:06:00.3Z" });

  const sent = specOf(row, { sourceId: "maestro" });

  expect(meaning(fresh(sent, vector("V8")))).toEqual(meaning(vector("V8")));
  expect(sent.id).not.toBe(vector("V5").id);
});

test("V9: the last report of a work says that it is deleted", () => {
  const event = vector("V9");

  expect(readReport(event, "maestro")).toMatchObject({ isDeleted: true, hash: VECTORS.hash_V9 });
  expect(statusHash(parseStatus(event.data ?? ""))).toBe(VECTORS.hash_V9);
});

test("V10: an agent says which version it holds of each resource", () => {
  expect(decodeSpecResync(vector("V10").data)).toEqual([
    { resourceId: "916777c0-0950-56c5-bb78-c884a111303b", version: 1 },
    { resourceId: "68ebf474-6709-48bb-b760-386181268064", version: 7 },
  ]);
});

test("V11: an agent that is behind gets the stored event as a resync response", () => {
  const options = { sourceId: "maestro", isResync: true };

  const sent = specOf(rowOf(vector("V5"), { version: 2 }), options);

  expect(meaning(sent)).toEqual(meaning(vector("V11")));
});

test("V12a: an agent that holds what is gone gets a deletion that echoes its version", () => {
  const held = {
    resourceId: "68ebf474-6709-48bb-b760-386181268064",
    version: 7,
    deletedAt: CREATED_AT,
  };
  const options = { sourceId: "maestro", dataType: MANIFEST_BUNDLES };
  const wanted = vector("V12a");

  const sent = toForgottenEvent("cluster1", held, options);

  const deletiontimestamp = wanted.extensions[EXT.deletionTimestamp] ?? "";
  const { readat: _, ...others } = sent.extensions;
  const extensions = { ...others, deletiontimestamp };
  expect(meaning({ ...fresh(sent, wanted), extensions })).toEqual(meaning(wanted));
});

test("V12b: a deletion without a version, as the Go broker sends it, is an event", () => {
  const { extensions } = ROADS["protobuf"]?.(vector("V12b")) ?? vector("V1");

  expect(extensions[EXT.resourceVersion]).toBeUndefined();
  expect(extensions[EXT.deletionTimestamp]).toBe("2026-01-02T03:10:00.199Z");
});

test("V13: a server says which status it holds of each resource", () => {
  expect(decodeStatusResync(vector("V13").data)).toEqual([
    { resourceId: "916777c0-0950-56c5-bb78-c884a111303b", hash: VECTORS.hash_V3 },
    { resourceId: "68ebf474-6709-48bb-b760-386181268064", hash: NO_STATUS_HASH },
  ]);
});

test("V14: the answer to a status resync is a report like any other", () => {
  const event = vector("V14");

  expect(readReport(event, "maestro")).toMatchObject({ version: 2, hash: VECTORS.hash_V14 });
  expect(statusHash(parseStatus(event.data ?? ""))).toBe(VECTORS.hash_V14);
});

test("V15: a source that knows nothing sends an empty list", () => {
  expect(decodeStatusResync(vector("V15").data)).toEqual([]);
});

test("V16: a heartbeat has an id and a type, and takes 93 bytes", () => {
  const { id, type } = VECTORS.vectors["V16"] as { id: string; type: string };
  const heartbeat = { id, source: "", type, extensions: {} };

  const bytes = encodeEvent(heartbeat);

  expect(bytes).toHaveLength(93);
  expect(decodeEvent(bytes)).toEqual(heartbeat);
});

test("V17: a single manifest reaches the agent as the data type that it came as", () => {
  const wanted = vector("V17");
  const published = { ...wanted, source: "legacy" };

  const sent = specOf(rowOf(published), { sourceId: "maestro" });

  expect(meaning(sent)).toEqual(meaning(wanted));
  expect(parseSpec(MANIFESTS, wanted.data ?? "")).toMatchObject({
    manifests: [{ kind: "Deployment" }],
    manifestConfigs: [{ updateStrategy: { type: "ServerSideApply" } }],
    deleteOption: { propagationPolicy: "Foreground" },
  });
});

test("V18: the report on a single manifest is shown, hashed and told as in its time", () => {
  const [spec, event] = [vector("V17"), vector("V18")];

  const report = readReport(event, "maestro");
  const shown = presentResource({
    ...rowOf(spec),
    name: "n",
    source: "legacy",
    type: "Single",
    status: report.status,
    status_version: report.version,
    status_sequence: report.sequence ?? null,
    ...{ observed_version: 0, applied_version: 0, sent_version: 0, sent_at: null, attempts: 0 },
    ...{ next_send_at: CREATED_AT, silent_seconds: null },
    updated_at: CREATED_AT,
  });
  const told = toStatusEvent({
    spec: spec.data ?? null,
    metadata: null,
    status: report.status,
    status_event: report.event,
    created_at: CREATED_AT,
    deleted_at: null,
  });

  expect(report.hash).toBe(VECTORS.eraA_V18);
  expect(shown["status"]).toEqual(VECTORS.rest18);
  expect(shown).toMatchObject({
    manifest: { kind: "Deployment" },
    delete_option: { propagationPolicy: "Foreground" },
    update_strategy: { type: "ServerSideApply" },
  });
  expect(meaning(told)).toEqual(meaning(event));
});

test("V19: a stale update is refused with the text that clients look for", () => {
  const stale = new MaestroError(
    "conflict",
    "the resource version is not the latest, the latest version: 2",
  );

  expect(refuseSource(stale, "update resource")).toEqual(
    new GrpcError(
      2,
      "failed to update resource: maestro-6: the resource version is not the latest, " +
        "the latest version: 2",
      { cause: stale },
    ),
  );
});

test("V20: a stored event has its metadata expanded, and is read as the one that came", () => {
  const { metadata, ...rest } = VECTORS.vectors["V1"] as { metadata: string };

  const stored = decodeStructured(JSON.stringify({ ...rest, metadata: parseJson(metadata) }));

  expect(meaning(stored)).toEqual(meaning(vector("V1")));
});

test("V21: a version that came over MQTT is text, and is read as the number that it is", () => {
  const file = capturedFiles().find(({ name }) => name === "mqtt-06-status-v1");
  const message = file?.records.map(mqttOf).find((message) => message !== undefined);

  const event = decodeMqtt(message ?? { userProperties: {}, payload: new Uint8Array() });

  expect(event.extensions[EXT.resourceVersion]).toBe("1");
  expect(readReport(event, "maestro").version).toBe(1);
});

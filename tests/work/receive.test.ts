/** What an agent takes from its server, and what it leaves. */

import { expect, test } from "bun:test";
import { type CloudEvent, MANIFEST_BUNDLES, MANIFESTS } from "../../src/lib/wire/event.ts";
import { parseEventType } from "../../src/lib/wire/event_type.ts";
import { legacyStatusHash, statusHash } from "../../src/lib/wire/status_hash.ts";
import { receiveSpec, type Works } from "../../src/lib/work/receive.ts";
import { encodeReport, presentStatus } from "../../src/lib/work/report.ts";
import { decodeSpecResync, type HeldVersion } from "../../src/lib/wire/resync.ts";
import { answersTo, specResyncRequests } from "../../src/lib/work/resync.ts";
import { configMap } from "./one_agent.ts";

const UID = "a8e6f3df-1d2b-5ab0-b014-230f8642c9ca";
const REPORTER = { agentId: "c1-work-agent", consumerName: "c1", agentVersion: "test" };

function spec(version: number, extensions: CloudEvent["extensions"] = {}, name = "cm"): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.spec.create_request`,
    extensions: { resourceid: UID, resourceversion: version, clustername: "c1", ...extensions },
    data: JSON.stringify({ manifests: [configMap(name, {})] }),
  };
}

function take(works: Works, event: CloudEvent) {
  return receiveSpec(works, { isLate: () => false }, event, parseEventType(event.type));
}

test("A91: an older version is ignored, an equal one replaces, and version 0 always counts", () => {
  const works: Works = new Map();
  take(works, spec(3, {}, "three"));

  const older = take(works, spec(2, {}, "two"));
  const equal = take(works, spec(3, {}, "other"));
  const again = take(works, spec(3, {}, "other"));
  const unversioned = take(works, spec(0, {}, "zero"));

  expect([older, equal, again, unversioned]).toEqual(["older", "changed", "repeated", "changed"]);
  expect(works.get(UID)?.specText).toContain("zero");
});

test("a work is deleting from the first deletion on, whatever comes after", () => {
  const works: Works = new Map();
  take(works, spec(1));

  const deleted = take(works, { ...spec(1, { deletiontimestamp: "2026-01-02T03:04:05Z" }) });
  const late = take(works, spec(9));

  expect([deleted, late]).toEqual(["changed", "ignored"]);
  expect(works.get(UID)).toMatchObject({ version: 1, deletionTimestamp: "2026-01-02T03:04:05Z" });
});

test("no source deletes what is another's and it does not know", () => {
  const works: Works = new Map();
  take(works, spec(3));
  const { data: _, ...deletion } = spec(3, { deletiontimestamp: "2026-01-02T03:04:05Z" });

  const foreign = take(works, { ...deletion, source: "somebody" });
  const before = works.get(UID)?.deletionTimestamp;
  const own = take(works, deletion);

  expect([foreign, own]).toEqual(["ignored", "changed"]);
  expect(before).toBeUndefined();
});

test("a deletion without a version is one of any version", () => {
  const works: Works = new Map();
  take(works, spec(4));
  const event = spec(0, { deletiontimestamp: "2026-01-02T03:04:05Z" });
  delete event.extensions["resourceversion"];

  expect(take(works, event)).toBe("changed");
  expect(works.get(UID)?.version).toBe(4);
});

test.each([
  ["Workload manifests should not be empty", "{}"],
  ["kind is missing", '{"manifests":[{"apiVersion":"v1","metadata":{"name":"x"}}]}'],
  ["metadata.name is missing", '{"manifests":[{"apiVersion":"v1","kind":"X","metadata":{}}]}'],
  [
    "metadata.generateName is not allowed",
    '{"manifests":[{"apiVersion":"v1","kind":"X","metadata":{"name":"x","generateName":"y"}}]}',
  ],
  [
    "exceeds the 512000 limit",
    JSON.stringify({ manifests: [configMap("x", { a: "y".repeat(600_000) })] }),
  ],
  ["it is not JSON", "{"],
])("a spec that cannot be applied is held, with the reason: %s", (reason, data) => {
  const works: Works = new Map();

  expect(take(works, { ...spec(1), data })).toBe("changed");

  expect(works.get(UID)?.rejection).toContain(reason);
});

test("a source's finalizers do not reach the agent's work", () => {
  const works: Works = new Map();
  const metadata = { name: UID, finalizers: ["theirs.io/x"], labels: { a: "b" } };
  take(works, spec(1, { metadata: JSON.stringify(metadata) }));
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");

  const status = presentStatus(work, "c1", 0);
  const event = encodeReport(work, status, REPORTER, { sequence: "1", hash: "a", isAnswer: false });

  expect(JSON.parse(String(event.extensions["metadata"]))).toEqual({
    name: UID,
    namespace: "c1",
    uid: UID,
    generation: 1,
    labels: { a: "b", "cloudevents.open-cluster-management.io/originalsource": "maestro" },
    annotations: { "cloudevents.open-cluster-management.io/datatype": MANIFEST_BUNDLES },
    finalizers: ["cluster.open-cluster-management.io/manifest-work-cleanup"],
  });
});

test("a report echoes what the source sent along, and its hash is that of its status", () => {
  const works: Works = new Map();
  const tracing = '{"logging.open-cluster-management.io/op-id":"x"}';
  take(works, spec(2, { logtracing: tracing }));
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");

  const status = presentStatus(work, "c1", 0);
  const event = encodeReport(work, status, REPORTER, {
    sequence: "5",
    hash: statusHash(status),
    isAnswer: true,
  });

  expect(event.type).toBe(`${MANIFEST_BUNDLES}.status.resync_response`);
  expect(event.source).toBe("c1-work-agent");
  expect(event.extensions).toMatchObject({
    resourceid: UID,
    resourceversion: 2,
    clustername: "c1",
    originalsource: "maestro",
    sequenceid: "5",
    statushash: statusHash(status),
    logtracing: tracing,
  });
});

test("a single manifest of old servers is taken and answered in its own flavour", () => {
  const works: Works = new Map();
  const event = { ...spec(1), type: `${MANIFESTS}.spec.create_request` };
  event.data = JSON.stringify({ manifest: configMap("one", {}) });
  take(works, event);
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");

  const status = presentStatus(work, "c1", 0);
  const report = encodeReport(work, status, REPORTER, {
    sequence: "5",
    hash: "a",
    isAnswer: false,
  });

  expect(work.rejection).toBeUndefined();
  expect(report.type).toBe(`${MANIFESTS}.status.update_request`);
  expect(Object.keys(report.extensions)).not.toContain("statushash");
  expect(JSON.parse(report.data ?? "")).toEqual({ conditions: [] });
});

test("only works of the asking source are answered, and only for this cluster", () => {
  const works: Works = new Map();
  take(works, spec(1));
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");
  work.isSettled = true;
  const hash = statusHash(presentStatus(work, "c1", 0));
  const ask = (source: string, clustername: string, statusHash?: string) =>
    answersTo(
      works,
      {
        id: "1",
        source,
        type: "x",
        extensions: { clustername },
        data: JSON.stringify({
          statusHashes: statusHash === undefined ? [] : [{ resourceID: UID, statusHash }],
        }),
      },
      MANIFEST_BUNDLES,
      { consumerName: "c1", nowMs: 0 },
    );

  expect(ask("maestro", "c1")).toEqual([UID]);
  expect(ask("maestro", "", "old")).toEqual([UID]);
  expect(ask("maestro", "c1", hash)).toEqual([]);
  expect(ask("other", "c1")).toEqual([]);
  expect(ask("maestro", "c2")).toEqual([]);
});

test("a work whose status is not known again yet is answered unless the source has its last report", () => {
  const works: Works = new Map();
  take(works, spec(1));
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");
  work.reportedHash = "last";
  const ask = (statusHash: string) => {
    const data = JSON.stringify({ statusHashes: [{ resourceID: UID, statusHash }] });
    const request = {
      id: "1",
      source: "maestro",
      type: "x",
      extensions: { clustername: "c1" },
      data,
    };
    return answersTo(works, request, MANIFEST_BUNDLES, { consumerName: "c1", nowMs: 0 });
  };

  expect(work.isSettled).toBeFalse();
  expect(ask("last")).toEqual([]);
  expect(ask("older")).toEqual([UID]);
});

test("a server that has the hash of a single manifest's time is not answered again", () => {
  const works: Works = new Map();
  const event = { ...spec(1), type: `${MANIFESTS}.spec.create_request` };
  take(works, { ...event, data: JSON.stringify({ manifest: configMap("one", {}) }) });
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");
  work.isSettled = true;
  work.conditions = [{
    type: "Applied",
    status: "True",
    lastTransitionTime: "2026-01-02T03:04:05Z",
    reason: "r",
    message: "",
  }];
  const status = presentStatus(work, "c1", 0);
  const ask = (statusHash: string) => {
    const data = JSON.stringify({ statusHashes: [{ resourceID: UID, statusHash }] });
    const request = {
      id: "1",
      source: "maestro",
      type: "x",
      extensions: { clustername: "c1" },
      data,
    };
    return answersTo(works, request, MANIFESTS, { consumerName: "c1", nowMs: 0 });
  };

  expect(ask(legacyStatusHash(status))).toEqual([]);
  expect(ask(statusHash(status))).toEqual([UID]);
});

test("what an event is about is said by its extensions, not by what its action is called", () => {
  const works: Works = new Map();
  const named = (event: CloudEvent, action: string) => ({
    ...event,
    type: `${MANIFEST_BUNDLES}.spec.${action}`,
  });
  const deletion = spec(2, { deletiontimestamp: "2026-01-02T03:04:05Z" });

  expect(take(works, named(spec(1), "delete_request"))).toBe("changed");
  expect(take(works, named(spec(2), "test_update_request"))).toBe("changed");
  expect(works.get(UID)?.deletionTimestamp).toBeUndefined();
  expect(take(works, named(deletion, "update_request"))).toBe("changed");
  expect(works.get(UID)?.deletionTimestamp).toBe("2026-01-02T03:04:05Z");
});

test("metadata of older Kubernetes libraries, where a time may be null, is taken", () => {
  const works: Works = new Map();
  take(works, spec(1, { metadata: '{"name":"n","creationTimestamp":null}' }));
  const work = works.get(UID);
  if (work === undefined) throw new Error("no work");

  const report = encodeReport(work, presentStatus(work, "c1", 0), REPORTER, {
    sequence: "5",
    hash: "h",
    isAnswer: false,
  });

  expect(work.rejection).toBeUndefined();
  expect(JSON.parse(String(report.extensions["metadata"]))).not.toHaveProperty("creationTimestamp");
});

test("W25: a list that would be too long is cut, also where it only asks", () => {
  const works: Works = new Map();
  take(works, spec(7));
  const unclaimed = Array.from({ length: 200 }, () => crypto.randomUUID());
  const bytesMax = 2_000;

  const parts = specResyncRequests(works, MANIFEST_BUNDLES, REPORTER, bytesMax, unclaimed);

  expect(parts.length).toBeGreaterThan(5);
  for (const { data = "" } of parts) expect(data.length).toBeLessThan(bytesMax + 100);
  const named = parts.flatMap(({ data }) => decodeSpecResync(data));
  const wanted = [
    { resourceId: UID, version: 7 },
    ...unclaimed.map((resourceId) => ({ resourceId, version: 0 })),
  ];
  const byId = (one: HeldVersion, other: HeldVersion) => one.resourceId < other.resourceId ? -1 : 1;
  expect(named).toEqual(wanted.toSorted(byId));
});

test("a resync request lists what is held, by data type", () => {
  const works: Works = new Map();
  take(works, spec(7));

  const [bundles] = specResyncRequests(works, MANIFEST_BUNDLES, REPORTER, Infinity);
  const [singles] = specResyncRequests(works, MANIFESTS, REPORTER, Infinity);

  expect(bundles?.data).toBe(
    `{"resourceVersions":[{"resourceID":"${UID}","resourceVersion":7}]}`,
  );
  expect(singles?.data).toBe('{"resourceVersions":[]}');
  expect(bundles?.extensions).toEqual({
    clustername: "c1",
    originalsource: "",
    agentversion: "test",
    statusdigest: expect.any(String),
  });
});

/** The simulated cluster: what demos and benches rely on. */

import { expect, test } from "bun:test";
import { type JsonObject, parseJsonObject } from "../../src/lib/json.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { Kube, ObjectRef, WatchEvent } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { configMap, metadata, refOf, refusal, WRITER } from "./objects.ts";

const MERGE = { ...WRITER, type: "merge" } as const;
const APPLY = { ...WRITER, type: "apply" } as const;

function deployment({ name }: ObjectRef, replicas = 2): JsonObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: { replicas, template: { spec: { containers: [{ name: "a", image: "a:1" }] } } },
  };
}

function ownedBy(ref: ObjectRef, owners: JsonObject[], finalizers: string[] = []): JsonObject {
  const ownerReferences = owners.map((owner) => ({ uid: metadata(owner)["uid"] }));
  return { ...configMap(ref), metadata: { name: ref.name, ownerReferences, finalizers } };
}

async function remove(
  kube: Kube,
  ref: ObjectRef,
  propagationPolicy: "Background" | "Orphan" = "Background",
) {
  const { uid = "" } = metadata(await kube.get(ref));
  return await kube.delete(ref, { uid, propagationPolicy });
}

test("any kind is served, cluster-scoped where Kubernetes has it so", async () => {
  const kube = createSimulatedKube();

  expect(kube.description).toBe("simulated");
  expect(await kube.resolve("example.com/v1", "Policy")).toMatchObject({
    resource: "policies",
    isNamespaced: true,
  });
  for (const kind of ["Namespace", "ClusterRole", "AppliedManifestWork"]) {
    expect(await kube.resolve("v1", kind)).toMatchObject({ isNamespaced: false });
  }
});

test("a simulated object has what a server adds, and keeps its numbers", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "example.com/v1", "Thing");
  const text = `{"metadata":{"name":"${ref.name}"},"spec":{"n":9007199254740993},"status":{"a":1}}`;

  const created = await kube.create(ref, parseJsonObject(text, "it"), WRITER);

  expect(created).toMatchObject({
    metadata: {
      namespace: "default",
      uid: expect.any(String),
      resourceVersion: expect.any(String),
      creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      generation: 1,
    },
  });
  expect(created["status"]).toBeUndefined();
  expect(JSON.stringify((await kube.get(ref))?.["spec"])).toBe('{"n":9007199254740993}');
  expect((await refusal(kube.create(ref, {}, WRITER))).reason).toBe("AlreadyExists");
});

test("a write that changes nothing is no new version", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "apps/v1", "Deployment");
  const first = await kube.patch(ref, deployment(ref), APPLY);

  const same = await kube.patch(ref, deployment(ref), APPLY);
  const labelled = await kube.patch(ref, { metadata: { labels: { a: "b" } } }, MERGE);
  const scaled = await kube.patch(ref, { spec: { replicas: 3 } }, MERGE);

  expect(same).toEqual(first);
  expect(metadata(labelled)["resourceVersion"]).not.toBe(metadata(first)["resourceVersion"]);
  expect([labelled, scaled].map((each) => Number(metadata(each)["generation"]))).toEqual([1, 2]);
});

test("a reader may change what it got without changing the cluster", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  const created = await kube.create(ref, configMap(ref), WRITER);

  created["data"] = "spoilt";
  ((await kube.list(ref.type, ""))?.items[0] ?? {})["data"] = "spoilt";

  expect((await kube.get(ref))?.["data"]).toEqual({ a: "1" });
});

test("a replace of an old version and a delete of another uid are conflicts", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  expect((await refusal(kube.replace(ref, configMap(ref), WRITER))).reason).toBe("NotFound");
  const created = await kube.create(ref, configMap(ref), WRITER);
  await kube.replace(ref, { ...created, data: { a: "2" } }, WRITER);

  const stale = await refusal(kube.replace(ref, { ...created, data: { a: "3" } }, WRITER));
  const other = await refusal(kube.delete(ref, { uid: "x", propagationPolicy: "Background" }));

  expect([stale.reason, other.reason]).toEqual(["Conflict", "Conflict"]);
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "2" });
});

test("a simulated Deployment is available a moment later, and again after it changed", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "apps/v1", "Deployment");
  await kube.create(ref, deployment(ref), WRITER);
  const observed = (generation: number) => async () => {
    const status = (await kube.get(ref))?.["status"] as JsonObject | undefined;
    return status?.["observedGeneration"] === generation ? status : undefined;
  };

  const first = await eventually(observed(1));
  await kube.patch(ref, { spec: { replicas: 3 } }, MERGE);
  const second = await eventually(observed(2));

  expect(first).toMatchObject({
    replicas: 2,
    updatedReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
    conditions: [
      {
        type: "Available",
        status: "True",
        reason: "MinimumReplicasAvailable",
        message: "Deployment has minimum availability.",
      },
      {
        type: "Progressing",
        status: "True",
        reason: "NewReplicaSetAvailable",
        message: expect.stringMatching(
          new RegExp(`^ReplicaSet "${ref.name}-[0-9a-f]{10}" has successfully progressed\\.$`),
        ),
      },
    ],
  });
  expect(second).toEqual({
    ...first,
    observedGeneration: 2,
    replicas: 3,
    updatedReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
  });
});

test("an object with a finalizer goes when the finalizer does", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  await kube.create(ref, ownedBy(ref, [], ["example.com/hold"]), WRITER);

  expect(await remove(kube, ref)).toBeTrue();
  expect(metadata(await kube.get(ref))["deletionTimestamp"]).toBeDefined();

  await kube.patch(ref, { metadata: { finalizers: null } }, MERGE);
  expect(await kube.get(ref)).toBeUndefined();
  expect(await kube.delete(ref, { uid: "", propagationPolicy: "Background" })).toBeFalse();
});

test("dependents go with their last owner, and stay when they are orphaned", async () => {
  const kube = createSimulatedKube();
  const [a, b, both, ofA, ofB] = await Promise.all(
    Array.from({ length: 5 }, () => refOf(kube, "v1", "ConfigMap")),
  ) as [ObjectRef, ObjectRef, ObjectRef, ObjectRef, ObjectRef];
  const ownerA = await kube.create(a, configMap(a), WRITER);
  const ownerB = await kube.create(b, configMap(b), WRITER);
  await kube.create(both, ownedBy(both, [ownerA, ownerB]), WRITER);
  const middle = await kube.create(ofA, ownedBy(ofA, [ownerA]), WRITER);
  const leaf = await refOf(kube, "v1", "Secret");
  await kube.create(leaf, { ...ownedBy(leaf, [middle]), kind: "Secret" }, WRITER);
  await kube.create(ofB, ownedBy(ofB, [ownerB]), WRITER);

  await remove(kube, a);
  expect(await kube.get(ofA)).toBeUndefined();
  expect(await kube.get(leaf)).toBeUndefined();
  expect(await kube.get(both)).toMatchObject({
    metadata: { ownerReferences: [{ uid: metadata(ownerB)["uid"] }] },
  });

  await remove(kube, b, "Orphan");
  expect(await kube.get(ofB)).toMatchObject({ metadata: { ownerReferences: [] } });
});

test("a namespace takes its objects with it", async () => {
  const kube = createSimulatedKube();
  const inside = { ...await refOf(kube, "v1", "ConfigMap"), namespace: "room" };
  const outside = await refOf(kube, "v1", "ConfigMap");
  const room = await refOf(kube, "v1", "Namespace", "room");
  for (const ref of [room, inside, outside]) await kube.create(ref, configMap(ref), WRITER);

  await remove(kube, room);

  expect(await kube.get(inside)).toBeUndefined();
  expect(await kube.get(outside)).toBeDefined();
});

test("a simulated list and watch take the same selectors as a server", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  const labels = { app: "web", tier: "front" };
  await kube.create(ref, { ...configMap(ref), metadata: { labels } }, WRITER);
  const count = async (labelSelector: string) =>
    (await kube.list(ref.type, "", { labelSelector })).items.length;

  for (
    const selector of ["app=web", "app==web,tier", "app in (a, web),!x", "x!=1", "x notin (1)"]
  ) {
    expect([selector, await count(selector)]).toEqual([selector, 1]);
  }
  for (const selector of ["app=api", "app!=web", "!app", "x", "app notin (web,b)", "tier in (a)"]) {
    expect([selector, await count(selector)]).toEqual([selector, 0]);
  }
  expect((await refusal(count("a b"))).status).toBe(400);
});

test("a simulated watch replays what it missed, follows, and ends when it is aborted", async () => {
  const kube = createSimulatedKube();
  const [old, kept, moving] = await Promise.all(
    Array.from({ length: 3 }, () => refOf(kube, "v1", "ConfigMap")),
  ) as [ObjectRef, ObjectRef, ObjectRef];
  await kube.create(old, configMap(old), WRITER);
  const { resourceVersion } = await kube.list(old.type, "");
  await kube.create(kept, configMap(kept), WRITER);
  await kube.patch(old, { data: { a: "2" } }, MERGE);
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  const ended = (async () => {
    const options = { resourceVersion, signal: stop.signal, metadataOnly: true };
    for await (const event of kube.watch(old.type, "default", options)) events.push(event);
  })();

  await eventually(() => events.length === 2);
  await kube.create(moving, configMap(moving), WRITER);
  await remove(kube, moving);
  await eventually(() => events.length === 4);
  stop.abort();
  await ended;

  expect(events.map(({ type, object }) => [type, metadata(object)["name"]])).toEqual([
    ["ADDED", kept.name],
    ["MODIFIED", old.name],
    ["ADDED", moving.name],
    ["DELETED", moving.name],
  ]);
  expect(events[0]?.object["data"]).toBeUndefined();
  // What went in the meantime cannot be told, so the watcher has to list.
  const tooOld = kube.watch(old.type, "", {
    resourceVersion,
    signal: new AbortController().signal,
  });
  expect((await refusal(Array.fromAsync(tooOld))).status).toBe(410);
});

test("a watcher that does not read has to list again in the end", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { resourceVersion } = await kube.list(ref.type, "");
  const signal = new AbortController().signal;
  const watch = kube.watch(ref.type, "", { resourceVersion, signal })[Symbol.asyncIterator]();
  const first = watch.next();
  await kube.create(ref, configMap(ref), WRITER);
  await first;

  for (let i = 0; i <= 10_000; i++) await kube.patch(ref, { data: { i: String(i) } }, MERGE);

  const rest = (async () => {
    while (!(await watch.next()).done);
  })();
  expect((await refusal(rest)).status).toBe(410);
});

test("nobody is refused anything, and events do not pile up", async () => {
  const kube = createSimulatedKube();
  const review = await refOf(kube, "authorization.k8s.io/v1", "SubjectAccessReview", "");
  const event = await refOf(kube, "events.k8s.io/v1", "Event", "");

  const answer = await kube.create(review, { spec: {} }, WRITER);
  await kube.create(event, { metadata: { generateName: "e-" } }, WRITER);

  expect(answer["status"]).toEqual({ allowed: true });
  expect((await kube.list(event.type, "")).items).toEqual([]);
});

test("works that wait for nothing else leave the event loop to timers and sockets", async () => {
  const kube = createSimulatedKube();
  const ref = await refOf(kube, "v1", "ConfigMap");
  await kube.create(ref, configMap(ref), WRITER);
  let hasFired = false;
  setTimeout(() => hasFired = true, 1);
  const until = performance.now() + 500;

  while (!hasFired && performance.now() < until) await kube.get(ref);

  expect(hasFired).toBeTrue();
});

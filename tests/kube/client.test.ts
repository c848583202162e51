/** The Kubernetes door on a real API server: reading and writing objects. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { isObject, parseJsonObject, rawNumber } from "../../src/lib/json.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import {
  configMap,
  definition,
  metadata,
  newName,
  openKubeconfig,
  refOf,
  refusal,
  WRITER,
} from "./objects.ts";

let kubernetes: Kubernetes;
let kube: Kube;

beforeAll(async () => {
  kubernetes = await startKubernetes({
    flags: [
      "--etcd-compaction-interval",
      "500ms",
      "--feature-gates",
      "ListFromCacheSnapshot=false",
    ],
  });
  kube = await openKubeconfig(kubernetes.kubeconfig);
}, 60_000);

afterAll(() => kubernetes[Symbol.asyncDispose](), 20_000);

const newConfigMap = () => refOf(kube, "v1", "ConfigMap");

async function create(ref: ObjectRef, object = configMap(ref)) {
  return metadata(await kube.create(ref, object, WRITER));
}

test("an object is created, read, replaced and deleted", async () => {
  const ref = await newConfigMap();

  expect(await kube.get(ref)).toBeUndefined();
  const created = await kube.create(ref, configMap(ref), WRITER);
  expect(await kube.get(ref)).toEqual(created);

  const replaced = await kube.replace(ref, { ...created, data: { b: "2" } }, WRITER);
  expect(replaced["data"]).toEqual({ b: "2" });
  expect((await refusal(kube.replace(ref, created, WRITER))).reason).toBe("Conflict");

  const { uid = "" } = metadata(created);
  expect(await kube.delete(ref, { uid, propagationPolicy: "Background" })).toBeTrue();
  expect(await kube.delete(ref, { uid, propagationPolicy: "Background" })).toBeFalse();
  expect(await kube.get(ref)).toBeUndefined();
});

test("a name that is taken is AlreadyExists", async () => {
  const ref = await newConfigMap();
  await create(ref);

  const error = await refusal(kube.create(ref, configMap(ref), WRITER));

  expect([error.status, error.reason]).toEqual([409, "AlreadyExists"]);
  expect(error.message).toBe(`configmaps "${ref.name}" already exists`);
});

test("the writer owns the fields that were written", async () => {
  const ref = await newConfigMap();

  const created = await kube.create(ref, configMap(ref), { fieldManager: "somebody" });

  expect(created).toMatchObject({ metadata: { managedFields: [{ manager: "somebody" }] } });
});

test("a merge patch changes what it names, removes what is null, and misses quietly", async () => {
  const ref = await newConfigMap();
  const merge = { ...WRITER, type: "merge" } as const;
  expect(await kube.patch(ref, { data: { b: "2" } }, merge)).toBeUndefined();
  await create(ref, configMap(ref, { a: "1", b: "1", c: "1" }));

  const patched = await kube.patch(ref, { data: { b: "2", c: null } }, merge);

  expect(patched?.["data"]).toEqual({ a: "1", b: "2" });
});

test("a server-side apply creates, and conflicts with another owner until it is forced", async () => {
  const ref = await newConfigMap();
  const apply = (value: string, fieldManager: string, options = {}) =>
    kube.patch(ref, configMap(ref, { a: value }), { type: "apply", fieldManager, ...options });
  await apply("1", "first");

  const error = await refusal(apply("2", "second"));
  expect([error.status, error.reason]).toEqual([409, "Conflict"]);
  expect(error.message).toContain('conflict with "first": .data.a');

  expect((await apply("2", "second", { force: true }))?.["data"]).toEqual({ a: "2" });
});

test("an apply into a namespace that is missing is an error, not a missing object", async () => {
  const ref = { ...await newConfigMap(), namespace: newName() };

  const error = await refusal(kube.patch(ref, configMap(ref), { ...WRITER, type: "apply" }));

  expect([error.status, error.reason]).toEqual([404, "NotFound"]);
  expect(error.message).toBe(`namespaces "${ref.namespace}" not found`);
});

test("a status is written through its subresource only", async () => {
  const ref = await refOf(kube, "v1", "Namespace");
  await kube.create(
    ref,
    { apiVersion: "v1", kind: "Namespace", metadata: { name: ref.name } },
    WRITER,
  );
  const status = { status: { conditions: [{ type: "Seen", status: "True" }] } };

  const plain = await kube.patch(ref, status, { ...WRITER, type: "merge" });
  const direct = await kube.patch(ref, status, { ...WRITER, type: "merge", subresource: "status" });

  expect(plain).not.toMatchObject(status);
  expect(direct).toMatchObject(status);
});

test("an integer above 2^53 is the same in the cluster and back", async () => {
  const kind = `Big${crypto.randomUUID().slice(0, 4)}`;
  const defined = await refOf(kube, "apiextensions.k8s.io/v1", "CustomResourceDefinition");
  const { metadata: named, ...rest } = definition(kind) as { metadata: { name: string } };
  await kube.create({ ...defined, name: named.name }, { ...rest, metadata: named }, WRITER);
  const ref = await eventually(() => refOf(kube, "tests.example.com/v1", kind));
  const text =
    `{"apiVersion":"tests.example.com/v1","kind":"${kind}","metadata":{"name":"${ref.name}"},` +
    `"spec":{"count":9007199254740993}}`;

  // Its name appears in discovery a moment before its objects are served.
  await eventually(() => kube.create(ref, parseJsonObject(text, "the manifest"), WRITER));
  const read = await kube.get(ref);
  const listed = (await kube.list(ref.type, "")).items[0];

  for (const object of [read, listed]) {
    const spec = object?.["spec"];
    expect(rawNumber(isObject(spec) ? spec["count"] : undefined)).toBe("9007199254740993");
  }
});

test("a delete with another uid is a conflict and deletes nothing", async () => {
  const ref = await newConfigMap();
  await create(ref);

  const uid = crypto.randomUUID();
  const error = await refusal(kube.delete(ref, { uid, propagationPolicy: "Background" }));

  expect([error.status, error.reason]).toEqual([409, "Conflict"]);
  expect(await kube.get(ref)).toBeDefined();
});

test("an empty name never reaches the server, where it would mean all objects", async () => {
  const ref = { ...await newConfigMap(), name: "" };

  const error = await refusal(kube.delete(ref, { uid: "", propagationPolicy: "Background" }));

  expect([error.status, error.reason]).toEqual([0, "BadRequest"]);
});

test("a type that is not served is told apart from an object that is missing", async () => {
  const { type } = await newConfigMap();
  const other = { type: { ...type, resource: "nothings" }, namespace: "default", name: "a" };

  const error = await refusal(kube.get(other));

  expect([error.status, error.reason]).toEqual([404, "PathNotFound"]);
});

test("a list holds the objects that a selector takes, with their kind", async () => {
  const ref = await newConfigMap();
  const labels = { tests: ref.name };
  await create(ref, { ...configMap(ref), metadata: { name: ref.name, labels } });
  await create(await newConfigMap());

  const byLabel = await kube.list(ref.type, "default", { labelSelector: `tests=${ref.name}` });
  const byField = await kube.list(ref.type, "", { fieldSelector: `metadata.name=${ref.name}` });

  expect(byLabel.items).toMatchObject([{ kind: "ConfigMap", apiVersion: "v1", data: { a: "1" } }]);
  expect(byField.items).toEqual(byLabel.items);
  expect(Number(byLabel.resourceVersion)).toBeGreaterThan(0);
});

test("a metadata-only list has no content", async () => {
  const ref = await newConfigMap();
  await create(ref);

  const { items } = await kube.list(ref.type, "default", {
    metadataOnly: true,
    fieldSelector: `metadata.name=${ref.name}`,
  });

  expect(items).toMatchObject([{ kind: "PartialObjectMetadata", metadata: { name: ref.name } }]);
  expect(items[0]?.["data"]).toBeUndefined();
});

test(
  "a list of several pages is whole, even if the server forgets between two of them",
  async () => {
    const { type } = await newConfigMap();
    const namespace = newName();
    const room = { ...await refOf(kube, "v1", "Namespace"), name: namespace };
    await kube.create(
      room,
      { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
      WRITER,
    );
    const refs = Array.from({ length: 600 }, (_, i) => ({ type, namespace, name: `item-${i}` }));
    await Promise.all(refs.map((ref) => kube.create(ref, configMap(ref), WRITER)));
    expect((await kube.list(type, namespace)).items).toHaveLength(600);

    // The second page is asked for after more than a second, when its version has been compacted.
    const slow = await openKubeconfig(kubernetes.kubeconfig, { qps: 0.6, burst: 1 });
    const listing = slow.list(type, namespace);
    let isDone = false;
    const done = listing.finally(() => isDone = true);
    const busy = await newConfigMap();
    await create(busy);
    for (let i = 0; !isDone; i++) {
      await kube.patch(busy, { data: { i: String(i) } }, { ...WRITER, type: "merge" });
      await Bun.sleep(50);
    }

    const { items } = await done;
    expect(new Set(items.map((item) => metadata(item)["name"])).size).toBe(600);
    expect(items).toHaveLength(600);
  },
  30_000,
);

/** Finding types on a real API server, also those that come and go. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { findKubeAccess } from "../../src/lib/kube/access.ts";
import { openKube } from "../../src/lib/kube/client.ts";
import { createDiscovery } from "../../src/lib/kube/discovery.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { definition, metadata, openKubeconfig, refOf, refusal, WRITER } from "./objects.ts";

let kubernetes: Kubernetes;
let kube: Kube;

beforeAll(async () => {
  kubernetes = await startKubernetes({ controllers: true });
  kube = await openKubeconfig(kubernetes.kubeconfig);
}, 60_000);

afterAll(() => kubernetes[Symbol.asyncDispose](), 20_000);

test("types of the core and of groups are found, namespaced or not", async () => {
  expect(await kube.resolve("apps/v1", "Deployment")).toEqual({
    group: "apps",
    version: "v1",
    kind: "Deployment",
    resource: "deployments",
    isNamespaced: true,
  });
  expect(await kube.resolve("v1", "Namespace")).toMatchObject({ group: "", isNamespaced: false });
  expect(await kube.resolve("v1", "Endpoints")).toMatchObject({ resource: "endpoints" });
});

test("what is not served is undefined, not an error", async () => {
  for (
    const [apiVersion, kind] of [["v1", "Deployment"], ["no.such/v1", "A"], ["", "Pod"], [
      "a/b/c",
      "A",
    ]]
  ) {
    expect(await kube.resolve(apiVersion ?? "", kind ?? "")).toBeUndefined();
  }
});

test("a definition made later is found after a miss, and gone when its objects are", async () => {
  const kind = "Later";
  expect(await kube.resolve("tests.example.com/v1", kind)).toBeUndefined();
  const object = definition(kind);
  const name = metadata(object)["name"] ?? "";
  const defined = await refOf(kube, "apiextensions.k8s.io/v1", "CustomResourceDefinition", name);
  const created = await kube.create(defined, object, WRITER);

  const type = await eventually(() => kube.resolve("tests.example.com/v1", kind));
  expect(type).toMatchObject({ resource: "laters", isNamespaced: false });

  const { uid = "" } = metadata(created);
  await kube.delete(defined, { uid, propagationPolicy: "Background" });
  await eventually(() => kube.get(defined), (found) => found === undefined);
  // What was remembered is dropped by the first call that fails for it.
  const ref = { type: type ?? defined.type, namespace: "", name: "a" };
  const error = await eventually(() => refusal(kube.get(ref)));
  expect(error.reason).toBe("PathNotFound");
  expect(await kube.resolve("tests.example.com/v1", kind)).toBeUndefined();
});

test("a miss asks the server at most once in two seconds, however many want to know", async () => {
  let nowMs = 0;
  const asked: string[] = [];
  const answer = Promise.withResolvers<JsonObject>();
  const discovery = createDiscovery((path) => {
    asked.push(path);
    return answer.promise;
  }, () => nowMs);

  const waiting = [discovery.resolve("a.example/v1", "A"), discovery.resolve("a.example/v1", "A")];
  answer.resolve({ resources: [{ name: "bs", kind: "B", namespaced: true }] });
  expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  nowMs = 1999;
  await discovery.resolve("a.example/v1", "A");
  expect(asked).toEqual(["/apis/a.example/v1"]);

  nowMs = 2000;
  await discovery.resolve("a.example/v1", "A");
  await discovery.resolve("a.example/v1", "B");
  expect(asked).toHaveLength(2);
});

test("a caller who may not discover gets the refusal, and is not told that nothing is served", async () => {
  const access = await findKubeAccess({ kubeconfig: kubernetes.kubeconfig }, process.env);
  let isKnown = false;
  const door = openKube({
    ...access,
    credentials: async () => isKnown ? await access.credentials() : {},
  });

  const error = await refusal(door.resolve("v1", "Pod"));
  expect([error.status, error.reason]).toEqual([403, "Forbidden"]);

  isKnown = true;
  expect(await door.resolve("v1", "Pod")).toMatchObject({ resource: "pods" });
});

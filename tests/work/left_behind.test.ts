/** What a work leaves on its cluster, in spite of all that may come between: nothing. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { LEDGER_KIND } from "../../src/lib/work/crd.ts";
import { type Kube, KubeError } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubeProxy } from "../harness/kube_proxy.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { thing, thingDefinition } from "./manifests.ts";
import { conditionOf, configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";
import { onCluster, startBehind } from "./one_cluster.ts";
import { maps, ownedMaps } from "./owned_maps.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const merge = { type: "merge", ...WRITER } as const;
const { find, listed, mapRef, ownersOf } = ownedMaps(kube);
const { removeObject } = onCluster(kube);

/** Defines a kind in two versions, of which the first can be taken out of service. */
async function twoVersions(group: string) {
  const api = "apiextensions.k8s.io/v1";
  const ref = await refOf(kube, api, "CustomResourceDefinition", `things.${group}`);
  const definition = thingDefinition(group, ["v2", "v1"]);
  await kube.create(ref, definition, WRITER);
  const isServed = async (version: string) =>
    await kube.resolve(`${group}/${version}`, "Thing", { isExpected: true });
  await eventually(() => isServed("v1"), (type) => type !== undefined);
  const type = await isServed("v2");
  if (type === undefined) throw new Error("v2 is served as v1 is");
  const { versions } = definition["spec"] as { versions: JsonObject[] };
  return {
    thing: { type, namespace: "default", name: "one" },
    async endFirst() {
      const left = versions.map((each) => ({ ...each, served: each["name"] !== "v1" }));
      await kube.patch(ref, { spec: { versions: left } }, merge);
      const old = { type: { ...type, version: "v1" }, namespace: "default", name: "one" };
      await eventually(
        () => kube.get(old).then(() => "served", () => "gone"),
        (is) => is === "gone",
      );
    },
  };
}

test("an object goes with its manifest though the version by which it was applied is no longer served", async () => {
  const group = `versions-${crypto.randomUUID().slice(0, 8)}.example.com`;
  const { thing: ref, endFirst } = await twoVersions(group);
  const { uid, spec } = maps("rest");
  await using agent = await startAgent(kube);
  await agent.send(uid, 1, { manifests: [...spec.manifests, thing(group, {})] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await endFirst();
  expect(await kube.get(ref)).toBeDefined();

  await agent.send(uid, 2, spec);

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  await eventually(() => kube.get(ref), (object) => object === undefined);
});

test("I5: no object counts as gone because a gateway answers 404 in the place of its cluster", async () => {
  const { uid, names: [name = ""], spec } = maps("hidden");
  await using proxy = startKubeProxy(cluster.url);
  await using agent = await startBehind(cluster, proxy);
  await agent.send(uid, 1, spec);
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  let asked = 0;
  proxy.decide = ({ method, path }) => {
    if (!path.includes("/configmaps/") && path !== "/api/v1") return undefined;
    if (method === "GET") asked++;
    return { status: 404, reason: "" };
  };
  await agent.delete(uid, 1);
  await eventually(() => asked, (count) => count > 4);
  const early = agent.reports.some((report) => isTrue(report, "Deleted"));
  proxy.decide = () => undefined;

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(early).toBeFalse();
  expect(await find(name)).toBeUndefined();
});

test("an AppliedManifestWork that is deleted by hand goes with its objects, though its work was refused since", async () => {
  const { uid, names: [name = ""], spec } = maps("refused");
  await using agent = await startAgent(kube);
  await agent.send(uid, 1, spec);
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await agent.send(uid, 2, { manifests: [] });
  await agent.until(uid, ({ version }) => version === 2);
  const ref = await ledgerRef(kube, uid);

  await removeObject(ref);

  await eventually(() => kube.get(ref), (object) => object === undefined);
  expect(await find(name)).toBeUndefined();
});

test("an AppliedManifestWork whose work the server has lost goes with its objects when it is deleted by hand", async () => {
  const { uid, names: [name = ""], spec } = maps("lost");
  {
    await using agent = await startAgent(kube, { hub: uid });
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }
  await using agent = await startAgent(kube, { hub: uid });
  expect(agent.unclaimed()).toBe(1);
  const ref = await ledgerRef(kube, uid, uid);

  await removeObject(ref);

  await eventually(() => kube.get(ref), (object) => object === undefined);
  expect(await find(name)).toBeUndefined();
});

test(
  "an AppliedManifestWork that went while nobody watched is made anew, and owns the objects",
  async () => {
    const { uid, names: [name = ""], spec } = maps("robbed");
    await using proxy = startKubeProxy(cluster.url);
    await using agent = await startBehind(cluster, proxy);
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
    const [owner] = await ownersOf(name);
    const ref = { ...await ledgerRef(kube, uid), name: String(owner?.["name"]) };
    let isAway = true;
    proxy.decide = ({ isWatch, path }) => {
      if (!isWatch) return undefined;
      if (isAway) return { status: 503, reason: "ServiceUnavailable" };
      return path.includes("resourceVersion=") ? { status: 410, reason: "Expired" } : undefined;
    };
    proxy.endWatches();

    await removeObject(ref);
    await kube.patch(ref, { metadata: { finalizers: [] } }, merge);
    isAway = false;

    const isOwned = async () => {
      const { uid } = metadataOf(await kube.get(ref));
      const [owner] = await ownersOf(name);
      return uid !== undefined && owner?.["uid"] === uid;
    };
    await eventually(isOwned, Boolean, { timeoutMs: 20_000 });
  },
  60_000,
);

test("a deletion removes an AppliedManifestWork though the answer was lost to the call that made it", async () => {
  const { uid, spec } = maps("unheard");
  let isLost = false;
  const lossy: Kube = {
    ...kube,
    async create(given, object, options) {
      const made = await kube.create(given, object, options);
      if (given.type.kind !== LEDGER_KIND || isLost) return made;
      isLost = true;
      await agent.delete(uid, 1);
      throw new KubeError(0, "Timeout", "the answer was lost");
    },
  };
  await using agent = await startAgent(lossy);

  await agent.send(uid, 1, spec);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(isLost).toBeTrue();
  expect(await kube.get(await ledgerRef(kube, uid))).toBeUndefined();
});

for (const what of ["a deletion", "a removal"]) {
  test(`${what} that is under way when the clock steps back an hour goes on`, async () => {
    const { uid, names: [name = ""], spec } = maps("held", "rest");
    let backMs = 0;
    await using agent = await startAgent(kube, { nowMs: () => Date.now() - backMs });
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    const ref = await mapRef(name);
    await kube.patch(ref, { metadata: { finalizers: ["tests.example.com/hold"] } }, merge);
    if (what === "a deletion") await agent.delete(uid, 1);
    else await agent.send(uid, 2, { manifests: spec.manifests.slice(1) });
    await eventually(() => find(name), (object) => "deletionTimestamp" in metadataOf(object));

    backMs = 3_600_000;
    await kube.patch(ref, { metadata: { finalizers: [] } }, merge);

    if (what === "a deletion") await agent.until(uid, (report) => isTrue(report, "Deleted"));
    await eventually(() => listed(uid), (list) => list.every((entry) => entry.name !== name));
  }, 30_000);
}

test(
  "I2: a version that waits for its former AppliedManifestWork to go says so, and is applied then",
  async () => {
    const { uid, names: [name = ""], spec } = maps("slow");
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    const ref = await mapRef(name);
    await kube.patch(ref, { metadata: { finalizers: ["tests.example.com/hold"] } }, merge);
    await removeObject(await ledgerRef(kube, uid));
    await eventually(() => find(name), (object) => "deletionTimestamp" in metadataOf(object));

    await agent.send(uid, 2, spec);

    const waiting = await agent.until(uid, ({ version }) => version === 2);
    expect(conditionOf(waiting, "Applied")).toMatchObject({
      status: "False",
      observedGeneration: 2,
      message:
        "Failed to apply manifest work: its former AppliedManifestWork is still being deleted",
    });
    await kube.patch(ref, { metadata: { finalizers: [] } }, merge);
    await agent.until(uid, (report) => isTrue(report, "Available", 2));
  },
  30_000,
);

test("an object whose creation was never answered is known to the next life of the agent", async () => {
  const { uid, names: [name = ""], spec } = maps("unknown", "rest");
  const lost = new KubeError(0, "Timeout", "the answer was lost");
  const lossy: Kube = {
    ...kube,
    async create(ref, object, options) {
      const made = await kube.create(ref, object, options);
      if (ref.name === name) throw lost;
      return made;
    },
    get: async (ref) => ref.name === name ? await Promise.reject(lost) : await kube.get(ref),
    async *watch(type, ...rest) {
      if (type.kind === "ConfigMap") throw lost;
      yield* kube.watch(type, ...rest);
    },
  };
  {
    await using agent = await startAgent(lossy, { hub: uid });
    await agent.send(uid, 1, { manifests: spec.manifests.slice(0, 1) });
    await agent.until(uid, () => true);
  }
  expect(await find(name)).toBeDefined();

  await using agent = await startAgent(kube, { hub: uid });
  await agent.send(uid, 2, { manifests: spec.manifests.slice(1) });

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await find(name)).toBeUndefined();
});

for (const isRemoved of [false, true]) {
  const how = isRemoved ? ", and somebody deletes," : "";
  test(`an object that one work lets go${how} while another applies it goes with that one`, async () => {
    const [giver, keeper] = [maps("giver"), maps("keeper")];
    const shared = configMap(`shared-${giver.uid}`, {});
    const { name } = shared.metadata;
    const bySide = (spec: { manifests: JsonObject[] }, ...more: JsonObject[]) => ({
      manifests: [...spec.manifests, ...more],
      manifestConfigs: [{
        resourceIdentifier: { group: "", resource: "configmaps", name: "*", namespace: "default" },
        updateStrategy: { type: "ServerSideApply" },
      }],
    });
    let isHeld = false;
    const overtaken: Kube = {
      ...kube,
      async patch(ref, patch, options) {
        if (isHeld && ref.name === name && options.type === "apply") {
          isHeld = false;
          await agent.send(giver.uid, 2, bySide(giver.spec));
          await eventually(() => ownersOf(name), (owners) => owners.length === 1);
          if (isRemoved) await removeObject(await mapRef(name));
        }
        return await kube.patch(ref, patch, options);
      },
    };
    await using agent = await startAgent(overtaken);
    for (const { uid, spec } of [giver, keeper]) {
      await agent.send(uid, 1, bySide(spec, shared));
      await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    }
    isHeld = true;
    await agent.send(keeper.uid, 2, bySide(keeper.spec, { ...shared, data: { a: "2" } }));
    await agent.until(keeper.uid, (report) => isTrue(report, "Applied", 2));
    expect(await ownersOf(name)).toHaveLength(1);

    await agent.send(keeper.uid, 3, bySide(keeper.spec));

    await agent.until(keeper.uid, (report) => isTrue(report, "Applied", 3));
    await eventually(() => find(name), (object) => object === undefined);
  });
}

test("M22: an object that was just made anew goes with its manifest, though the list has its former uid", async () => {
  const { uid, names: [name = ""], spec } = maps("anew", "rest");
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let made = 0;
  const held: Kube = {
    ...kube,
    async create(ref, object, options) {
      const created = await kube.create(ref, object, options);
      if (ref.name === name && ++made === 2) {
        reached.resolve();
        await released.promise;
      }
      return created;
    },
  };
  await using agent = await startAgent(held);
  await agent.send(uid, 1, spec);
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await removeObject(await mapRef(name));
  await reached.promise;

  await agent.send(uid, 2, { manifests: spec.manifests.slice(1) });
  released.resolve();

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await find(name)).toBeUndefined();
});

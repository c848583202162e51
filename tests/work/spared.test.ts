/** Objects that a work no longer has, and that stay all the same: somebody else wants them, or its source does. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { type Kube, KubeError, type ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { deploymentOf } from "./manifests.ts";
import { conditionOf, configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";
import { maps, ownedMaps } from "./owned_maps.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const { find, ownersOf, uidOf } = ownedMaps(kube);

test("I6: an object that another work takes while this one is about to delete it stays", async () => {
  const name = `taken-${crypto.randomUUID()}`;
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held: Kube = {
    ...kube,
    async delete(ref, options) {
      if (ref.name === name) {
        reached.resolve();
        await released.promise;
      }
      return await kube.delete(ref, options);
    },
  };
  await using agent = await startAgent(held);
  const [giver, taker] = [maps("giver"), maps("taker")];
  const shared = configMap(name, {});
  await agent.send(giver.uid, 1, { manifests: [...giver.spec.manifests, shared] });
  await agent.until(giver.uid, (report) => isTrue(report, "Applied", 1));
  const before = await uidOf(name);
  await agent.send(giver.uid, 2, giver.spec);
  await reached.promise;

  await agent.send(taker.uid, 1, { manifests: [...taker.spec.manifests, shared] });
  await agent.until(taker.uid, (report) => isTrue(report, "Applied", 1));
  released.resolve();

  await agent.until(giver.uid, (report) => isTrue(report, "Applied", 2));
  await eventually(() => ownersOf(name), (owners) => owners.length === 1);
  expect(await uidOf(name)).toBe(before);
});

test("I6: an object whose manifest comes back while its removal is under way stays", async () => {
  const { uid, names: [name = ""], spec } = maps("back", "rest");
  let isRemoved = false;
  const overtaken: Kube = {
    ...kube,
    async get(ref) {
      const live = await kube.get(ref);
      if (isRemoved && ref.name === name) {
        isRemoved = false;
        await agent.send(uid, 3, spec);
      }
      return live;
    },
  };
  await using agent = await startAgent(overtaken);
  await agent.send(uid, 1, spec);
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const before = await uidOf(name);

  isRemoved = true;
  await agent.send(uid, 2, { manifests: spec.manifests.slice(1) });

  await agent.until(uid, (report) => isTrue(report, "Applied", 3));
  expect(isRemoved).toBeFalse();
  expect(await uidOf(name)).toBe(before);
});

test("an object that goes while another work takes it is made anew by that one", async () => {
  const name = `moved-${crypto.randomUUID()}`;
  const [giver, taker] = [maps("giver"), maps("taker")];
  let isTaken = false;
  const overtaken: Kube = {
    ...kube,
    async patch(ref, patch, options) {
      if (ref.name === name && !isTaken) {
        isTaken = true;
        await agent.send(giver.uid, 2, giver.spec);
        await eventually(() => find(name), (object) => object === undefined);
      }
      return await kube.patch(ref, patch, options);
    },
  };
  await using agent = await startAgent(overtaken);
  const moved = configMap(name, {});
  await agent.send(giver.uid, 1, { manifests: [...giver.spec.manifests, moved] });
  await agent.until(giver.uid, (report) => isTrue(report, "Applied", 1));

  const updateStrategy = { type: "CreateOnly" };
  await agent.send(taker.uid, 1, {
    manifests: [...taker.spec.manifests, moved],
    manifestConfigs: [{ resourceIdentifier: named(name), updateStrategy }],
  });

  await agent.until(taker.uid, (report) => isTrue(report, "Available", 1));
  expect(isTaken).toBeTrue();
  expect(await ownersOf(name)).toHaveLength(1);
});

test("what somebody adds to a Secret that is about to be made anew is not lost with it", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "Secret", `remade-${uid}`);
  const metadata = { name: ref.name, namespace: "default" };
  const secret = (type: string) => ({ apiVersion: "v1", kind: "Secret", metadata, type });
  let isTaken = false;
  const overtaken: Kube = {
    ...kube,
    async create(given, object, options) {
      if (options.isDryRun && !isTaken) {
        isTaken = true;
        const added = { metadata: { annotations: { "test.io/added": "yes" } } };
        await kube.patch(ref, added, { type: "merge", ...WRITER });
      }
      return await kube.create(given, object, options);
    },
  };
  await using agent = await startAgent(overtaken);
  await agent.send(uid, 1, { manifests: [secret("test/one")] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await agent.send(uid, 2, { manifests: [secret("test/two")] });

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  const live = await kube.get(ref);
  expect(live?.["type"]).toBe("test/two");
  expect(metadataOf(live)["annotations"]).toEqual({ "test.io/added": "yes" });
});

const named = (name: string) => ({
  group: "",
  resource: "configmaps",
  name,
  namespace: "default",
});

test("I6: an object that is orphaned by the version that takes its manifest out stays, without its owner", async () => {
  const { uid, names: [kept = "", gone = ""], spec } = maps("kept", "gone", "rest");
  await using agent = await startAgent(kube);
  await agent.send(uid, 1, spec);
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  // The version that only orphaned it was overtaken by this one, as while no agent ran.
  await agent.send(uid, 2, {
    manifests: spec.manifests.slice(2),
    ...orphaning(kept),
  });

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await find(gone)).toBeUndefined();
  expect(await find(kept)).toBeDefined();
  expect(await ownersOf(kept)).toEqual([]);
});

const LAST_WORDS: [string, (name: string) => JsonObject][] = [
  ["orphans them", () => ({ deleteOption: { propagationPolicy: "Orphan" } })],
  ["only reads them", (name) => ({
    manifestConfigs: [{
      resourceIdentifier: named(name),
      updateStrategy: { type: "ReadOnly" },
    }],
  })],
];

for (const [words, optionsOf] of LAST_WORDS) {
  test(`I6: a deletion leaves the objects of a work whose last version ${words}, though it was never applied`, async () => {
    const { uid, names: [kept = ""], spec } = maps("kept");
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));

    await agent.delete(uid, 2, { spec: { ...spec, ...optionsOf(kept) } });

    await agent.until(uid, (report) => isTrue(report, "Deleted"));
    expect(await ownersOf(kept)).toEqual([]);
    expect(await find(kept)).toBeDefined();
  });
}

/** A ConfigMap, and what the cluster does not let go so soon: kinds that others need wait for it. */
async function heldBeside(uid: string, map: JsonObject) {
  const { metadata, ...rest } = deploymentOf(`held-${uid}`, { replicas: 0 });
  const held = { ...rest, metadata: { ...metadata as JsonObject, finalizers: ["test.io/hold"] } };
  const ref = await refOf(kube, "apps/v1", "Deployment", `held-${uid}`);
  const isGoing = (object?: JsonObject) => "deletionTimestamp" in metadataOf(object);
  const type = "merge";
  return {
    manifests: [map, held],
    untilGoing: async () => void await eventually(() => kube.get(ref), isGoing),
    letGo: async () =>
      void await kube.patch(ref, { metadata: { finalizers: null } }, { type, ...WRITER }),
  };
}

const orphaning = (name: string) => ({
  deleteOption: {
    propagationPolicy: "SelectivelyOrphan",
    selectivelyOrphans: { orphaningRules: [named(name)] },
  },
});

test("I6: a deletion that is ended by the next life of the agent leaves what its last version orphans", async () => {
  const { uid, names: [kept = ""] } = maps("kept");
  const { manifests, untilGoing, letGo } = await heldBeside(uid, configMap(kept, {}));
  {
    await using agent = await startAgent(kube, { hub: uid });
    await agent.send(uid, 1, { manifests });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    await agent.delete(uid, 2, { spec: { manifests, ...orphaning(kept) } });
    await untilGoing();
  }
  await letGo();

  await using _agent = await startAgent(kube, { hub: uid });

  const ledger = await ledgerRef(kube, uid, uid);
  await eventually(() => kube.get(ledger), (object) => object === undefined);
  expect(await find(kept)).toBeDefined();
  expect(await ownersOf(kept)).toEqual([]);
});

test(
  "I6: what is orphaned while an AppliedManifestWork goes that somebody has deleted stays",
  async () => {
    const { uid, names: [kept = ""] } = maps("kept");
    const { manifests, untilGoing, letGo } = await heldBeside(uid, configMap(kept, {}));
    await using agent = await startAgent(kube, { hub: uid });
    await agent.send(uid, 1, { manifests });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    const before = await uidOf(kept);
    const ledger = await ledgerRef(kube, uid, uid);
    const { uid: ledgerUid } = metadataOf(await kube.get(ledger));
    await kube.delete(ledger, { uid: String(ledgerUid), propagationPolicy: "Background" });
    await untilGoing();

    await agent.send(uid, 2, { manifests, ...orphaning(kept) });
    await letGo();

    await agent.until(uid, (report) => isTrue(report, "Applied", 2));
    expect(await uidOf(kept)).toBe(before);
    expect(await ownersOf(kept)).toEqual([]);
    await letGo();
  },
  20_000,
);

/** One Event as a work names it by one group, and then by the other. */
function eventOf(uid: string) {
  const metadata = { name: `event-${uid}`, namespace: "default" };
  const about = { kind: "Pod", name: "none", namespace: "default" };
  const event = {
    type: "Normal",
    reason: "Test",
    action: "test",
    eventTime: "2026-01-01T00:00:00.000000Z",
    reportingInstance: "test",
  };
  const core: JsonObject = {
    ...{ apiVersion: "v1", kind: "Event", metadata, ...event },
    involvedObject: about,
    reportingComponent: "example.com/test",
  };
  const moved: JsonObject = {
    ...{ apiVersion: "events.k8s.io/v1", kind: "Event", metadata, ...event },
    regarding: about,
    reportingController: "example.com/test",
  };
  const uidNow = async () => {
    const ref = await refOf(kube, "events.k8s.io/v1", "Event", metadata.name);
    return metadataOf(await kube.get(ref))["uid"];
  };
  return { core, moved, uidNow };
}

test("I6: an object that a work names by another group of its kind is not taken for one it no longer has", async () => {
  const uid = crypto.randomUUID();
  const { core, moved, uidNow } = eventOf(uid);
  await using agent = await startAgent(kube);
  await agent.send(uid, 1, { manifests: [core] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const before = await uidNow();
  expect(before).toBeDefined();

  await agent.send(uid, 2, { manifests: [moved] });

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await uidNow()).toBe(before);
});

test("I6: an object stays that a work names by another group, though the agent may not look at that one", async () => {
  const uid = crypto.randomUUID();
  const { core, moved, uidNow } = eventOf(uid);
  let isForbidden = true;
  const refuse = ({ type }: ObjectRef) => {
    if (isForbidden && type.group === "events.k8s.io") throw new KubeError(403, "Forbidden", "no");
  };
  const narrow: Kube = {
    ...kube,
    get: async (ref) => (refuse(ref), await kube.get(ref)),
    create: async (ref, object, options) => (refuse(ref), await kube.create(ref, object, options)),
  };
  await using agent = await startAgent(narrow);
  await agent.send(uid, 1, { manifests: [core] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const before = await uidNow();

  await agent.send(uid, 2, { manifests: [moved] });
  await agent.until(uid, (report) => conditionOf(report, "Applied")?.status === "False");
  expect(await uidNow()).toBe(before);

  isForbidden = false;
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await uidNow()).toBe(before);
  await agent.delete(uid, 2);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await uidNow()).toBeUndefined();
});

/** AppliedManifestWorks whose works nobody sends, on a real API server: nothing goes without a word. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { createLogger } from "../../src/lib/log.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { installLedgerType } from "../../src/lib/work/crd.ts";
import { hubHashOf, openLedger } from "../../src/lib/work/ledger.ts";
import { RECORD_ANNOTATION } from "../../src/lib/work/record.ts";
import { tellUnclaimed } from "../../src/lib/work/unclaimed.ts";
import { metadataOf, type Work } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { configMap, CONSUMER, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const merge = { type: "merge", ...WRITER } as const;
const find = async (name: string) => await kube.get(await refOf(kube, "v1", "ConfigMap", name));

/** Leaves what a Go agent would leave of a work that it has applied: no record of ours. */
async function leaveBehind(uid: string, hub: string): Promise<void> {
  await using agent = await startAgent(kube, { hub });
  await agent.send(uid, 1, { manifests: [configMap(`left-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await agent[Symbol.asyncDispose]();
  const ref = await ledgerRef(kube, uid, hub);
  await kube.patch(ref, { metadata: { annotations: { [RECORD_ANNOTATION]: null } } }, merge);
}

/** What a server answers for an id that is listed and that it does not have. */
function forgotten(uid: string, extensions: JsonObject, source = "maestro"): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source,
    type: `${MANIFEST_BUNDLES}.spec.resync_response`,
    extensions: {
      resourceid: uid,
      clustername: CONSUMER,
      originalsource: "",
      deletiontimestamp: new Date().toISOString(),
      ...extensions as Record<string, string>,
    },
  };
}

/** Another work's way through the agent: whatever came before has had its turn. */
async function passBy(agent: Awaited<ReturnType<typeof startAgent>>): Promise<void> {
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap(`by-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
}

test("A20, A71: the server is asked about a work that only the ledger knows, and it goes when the server knows of its deletion", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  await leaveBehind(uid, hub);

  await using agent = await startAgent(kube, { hub });
  expect(agent.resyncs).toEqual([[{ resourceId: uid, version: 0 }]]);
  expect(agent.unclaimed()).toBe(1);
  await agent.receive(forgotten(uid, { resourceversion: 0, readat: new Date().toISOString() }));

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await find(`left-${uid}`)).toBeUndefined();
  expect(await kube.get(await ledgerRef(kube, uid, hub))).toBeUndefined();
  expect(agent.unclaimed()).toBe(0);
});

test("M16, I6: a peer that does not know a single work has none deleted; one that knows another is believed", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  await leaveBehind(uid, hub);

  await using agent = await startAgent(kube, { hub });
  await agent.receive(forgotten(uid, {}, "source"));
  await agent.receive(forgotten(uid, { resourceversion: 0 }));
  await passBy(agent);
  expect(await find(`left-${uid}`)).toBeDefined();

  // Another source at the same broker does not know it either: it is not its work.
  await agent.receive(forgotten(uid, { resourceversion: 0 }, "another"));
  await passBy(agent);
  expect(await find(`left-${uid}`)).toBeDefined();

  await agent.receive(forgotten(uid, { resourceversion: 0 }));
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await find(`left-${uid}`)).toBeUndefined();
});

test("I6: a broker that lost its store has nothing deleted by a reconnect, and is asked once what it has", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  await using agent = await startAgent(kube, { hub });
  await agent.send(uid, 1, { manifests: [configMap(`known-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await agent.reconnect();
  const asked = agent.resyncs.length;

  await agent.receive(forgotten(uid, {}, "source"));
  await eventually(() => agent.resyncs.length > asked);
  expect(agent.resyncs.slice(asked)).toEqual([[{ resourceId: uid, version: 0 }]]);
  await agent.receive(forgotten(uid, {}, "source"));
  await Bun.sleep(1_200);
  expect(agent.resyncs).toHaveLength(asked + 1);
  expect(await find(`known-${uid}`)).toBeDefined();

  // It has another work, so it is no empty store that does not know this one.
  await passBy(agent);
  await agent.receive(forgotten(uid, {}, "source"));
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await find(`known-${uid}`)).toBeUndefined();
});

test("I6: what a restarted agent holds by its record is not deleted by a peer with an empty store", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  {
    await using agent = await startAgent(kube, { hub });
    await agent.send(uid, 1, { manifests: [configMap(`held-${uid}`, {})] });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }

  await using agent = await startAgent(kube, { hub });
  await agent.receive(forgotten(uid, {}, "source"));
  await agent.receive(forgotten(uid, { resourceversion: 1 }));
  await passBy(agent);

  expect(await find(`held-${uid}`)).toBeDefined();
  expect(await kube.get(await ledgerRef(kube, uid, hub))).toBeDefined();
});

test("A72, A73: an eviction that a Go agent has begun ends when our agent starts, whether the work comes or not", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  await leaveBehind(uid, hub);
  const ref = await ledgerRef(kube, uid, hub);
  const begun = { status: { evictionStartTime: "2026-01-01T00:00:00Z" } };
  await kube.patch(ref, begun, { ...merge, subresource: "status" });

  await using agent = await startAgent(kube, { hub });

  const statusOf = async () => (await kube.get(ref))?.["status"] as JsonObject;
  await eventually(statusOf, (status) => !("evictionStartTime" in status));
  expect(await find(`left-${uid}`)).toBeDefined();
  await agent.send(uid, 1, { manifests: [configMap(`left-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
});

test("a work whose name is another's id is not asked about, and a deletion of that id leaves it alone", async () => {
  const [uid, name] = [crypto.randomUUID(), `web-${crypto.randomUUID().slice(0, 8)}`];
  const hub = `hub-${uid}`;
  await leaveBehind(name, hub);

  await using agent = await startAgent(kube, { hub });
  expect(agent.resyncs).toEqual([[]]);
  const spec = { manifests: [configMap(`left-${name}`, {})] };
  await agent.receive({
    id: crypto.randomUUID(),
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.spec.create_request`,
    extensions: {
      resourceid: uid,
      resourceversion: 1,
      clustername: CONSUMER,
      metadata: JSON.stringify({ name }),
    },
    data: JSON.stringify(spec),
  });
  await agent.receive(forgotten(name, { resourceversion: 0 }));
  await agent.until(name, (report) => isTrue(report, "Deleted"));
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  expect(await find(`left-${name}`)).toBeDefined();
});

test("what stays is told once after a connection, with what removes it", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  await leaveBehind(uid, hub);
  const ledger = openLedger(kube, await installLedgerType(kube), { hubName: hub });
  await ledger.load();
  let told = "";
  const log = createLogger({ level: "warn", isTerminal: false, write: (line) => told += line });
  using teller = tellUnclaimed({ ledger, works: new Map(), strangers: new Map() }, log, 0);

  teller.connected();
  await eventually(() => told, (text) => text !== "");
  teller.connected();
  await Bun.sleep(50);

  expect(told.trim().split("\n")).toHaveLength(1);
  expect(JSON.parse(told)).toMatchObject({
    count: 1,
    names: [`${hubHashOf(hub)}-${uid}`],
    remedy: "kubectl delete appliedmanifestwork <name> deletes one and its objects",
  });
});

test("A69: a new hub name and another agent id leave the old AppliedManifestWork, and objects get a second owner", async () => {
  const uid = crypto.randomUUID();
  await leaveBehind(uid, `old-${uid}`);

  await using agent = await startAgent(kube, { hub: `new-${uid}` });
  await agent.send(uid, 1, { manifests: [configMap(`left-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  expect(metadataOf(await find(`left-${uid}`))["ownerReferences"]).toHaveLength(2);
  expect(await kube.get(await ledgerRef(kube, uid, `old-${uid}`))).toBeDefined();
});

test("W14: an agent that finds its works applied under another name of the server says what takes them over", async () => {
  const uid = crypto.randomUUID();
  await leaveBehind(uid, `old-${uid}`);
  const ledger = openLedger(kube, await installLedgerType(kube), { hubName: `new-${uid}` });
  const { strangers } = await ledger.load();
  const work = { uid, name: uid } as Work;
  let told = "";
  const log = createLogger({ level: "warn", isTerminal: false, write: (line) => told += line });
  using teller = tellUnclaimed({ ledger, works: new Map([[uid, work]]), strangers }, log, 0);

  teller.connected();
  await eventually(() => told, (text) => text !== "");
  teller.connected();
  await Bun.sleep(50);

  expect(told.trim().split("\n")).toHaveLength(1);
  const agent = hubHashOf(`old-${uid}`);
  expect(JSON.parse(told)).toMatchObject({
    count: 1,
    works: [uid],
    remedy: `if the server's address has changed, --agent-id=${agent} takes them over`,
  });
});

test("A70: a work under a new hub name takes its objects over, and what it no longer has stays with the old one", async () => {
  const uid = crypto.randomUUID();
  const [before, after] = [`old-${uid}`, `new-${uid}`];
  const ownerId = `agent-${uid}`;
  const [kept, dropped] = [configMap(`kept-${uid}`, {}), configMap(`dropped-${uid}`, {})];
  {
    await using agent = await startAgent(kube, { hub: before, ownerId });
    await agent.send(uid, 1, { manifests: [kept, dropped] });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }
  const first = metadataOf(await find(kept.metadata.name))["uid"];
  const former = await ledgerRef(kube, uid, before);

  {
    await using agent = await startAgent(kube, { hub: after, ownerId });
    await agent.send(uid, 2, { manifests: [kept] });
    await agent.until(uid, (report) => isTrue(report, "Available", 2));
    const own = metadataOf(await kube.get(await ledgerRef(kube, uid, after)))["uid"];
    const ownersOf = async () =>
      metadataOf(await find(kept.metadata.name))["ownerReferences"] as JsonObject[];
    await eventually(ownersOf, (owners) => owners.length === 1 && owners[0]?.["uid"] === own);
    expect(metadataOf(await find(kept.metadata.name))["uid"]).toBe(first);
    expect(await find(dropped.metadata.name)).toBeDefined();
    await eventually(() => agent.unclaimed(), (count) => count === 1);
    expect((await kube.get(former))?.["status"]).toMatchObject({
      appliedResources: [{ name: dropped.metadata.name }],
    });

    // Asked for again, it is taken over as well, and nothing is left of the old one.
    await agent.send(uid, 3, { manifests: [kept, dropped] });
    await eventually(() => kube.get(former), (object) => object === undefined);
    expect(await find(dropped.metadata.name)).toBeDefined();
    expect(agent.unclaimed()).toBe(0);
  }
});

test("W14: a deletion after a change of the hub's name removes what the old AppliedManifestWork lists", async () => {
  const uid = crypto.randomUUID();
  const ownerId = `agent-${uid}`;
  {
    await using agent = await startAgent(kube, { hub: `old-${uid}`, ownerId });
    await agent.send(uid, 1, { manifests: [configMap(`left-${uid}`, {})] });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }

  await using agent = await startAgent(kube, { hub: `new-${uid}`, ownerId });
  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));

  expect(await find(`left-${uid}`)).toBeUndefined();
  expect(await kube.get(await ledgerRef(kube, uid, `old-${uid}`))).toBeUndefined();
});

test("I4: what was said before a deletion stays late under a new name of the server", async () => {
  const uid = crypto.randomUUID();
  const ownerId = `agent-${uid}`;
  const spec = { manifests: [configMap(`left-${uid}`, {})] };
  const startMs = Date.now() - 600_000;
  const clock = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString();
  {
    await using agent = await startAgent(kube, { hub: `old-${uid}`, ownerId });
    await agent.send(uid, 1, spec, { readAt: clock(0) });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    await agent.delete(uid, 1, { deletedAt: clock(10), readAt: clock(11) });
    await agent.until(uid, (report) => isTrue(report, "Deleted"));
  }

  await using agent = await startAgent(kube, { hub: `new-${uid}`, ownerId });
  await agent.send(uid, 1, spec, { readAt: clock(5) });
  await passBy(agent);

  expect(await find(`left-${uid}`)).toBeUndefined();
});

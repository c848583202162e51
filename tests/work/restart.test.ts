/** What an agent knows after it was away, on a real API server that counts its writes. */

import { afterAll, expect, test } from "bun:test";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { AUDITED, auditedWrites } from "../harness/audit.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { configMap, feedbackOf, isTrue, ledgerRef, type Report, startAgent } from "./one_agent.ts";

/** Long enough for the pass over a work that a restarted agent has looked for by watches first. */
const PASSED_MS = 1_500;

const cluster = await startKubernetes(AUDITED);
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

test("M34: a restarted agent applies and reports nothing that did not change", async () => {
  const uid = crypto.randomUUID();
  const spec = bothStrategies(uid);
  let before: Report;
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec);
    before = await agent.until(uid, (report) => feedbackOf(report, 1).length > 0);
  }
  const written = await writes(uid);
  expect(written.length).toBeGreaterThan(0);

  await using agent = await startAgent(kube);
  expect(agent.resyncs[0]).toContainEqual({ resourceId: uid, version: 1, lacksSpec: true });
  await agent.send(uid, 1, spec, { action: "resync_response" });
  const other = crypto.randomUUID();
  await agent.send(other, 1, { manifests: [configMap(`after-${other}`, {})] });
  await agent.until(other, (report) => isTrue(report, "Applied", 1));
  await Bun.sleep(PASSED_MS);
  expect(agent.reports.filter((report) => report.uid === uid)).toEqual([]);
  // Asked for, the status is the one from before, with its times.
  await agent.send(uid, 1, spec);
  const again = await agent.until(uid, () => true);
  expect(again.status).toEqual(before.status);
  expect(BigInt(again.sequence)).toBeGreaterThan(BigInt(before.sequence));
});

test("a restart writes nothing for an unchanged work, not even when the agent stops", async () => {
  const uid = crypto.randomUUID();
  const spec = bothStrategies(uid);
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => feedbackOf(report, 1).length > 0);
  }
  const written = await writes(uid);

  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec, { action: "resync_response" });
    const other = crypto.randomUUID();
    await agent.send(other, 1, { manifests: [configMap(`after-${other}`, {})] });
    await agent.until(other, (report) => isTrue(report, "Applied", 1));
    await Bun.sleep(PASSED_MS);
  }

  expect(written.length).toBeGreaterThan(0);
  expect(await writes(uid)).toEqual(written);
});

test("what changed while the agent was away is set right, and removed manifests are pruned", async () => {
  const uid = crypto.randomUUID();
  const [kept, removed] = [`kept-${uid}`, `removed-${uid}`];
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, {
      manifests: [configMap(kept, { a: "1" }), configMap(removed, {})],
    });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  }
  const ref = await configMapRef(kept);
  await kube.patch(ref, { data: { a: "changed" } }, { type: "merge", fieldManager: "test" });

  await using agent = await startAgent(kube);
  await agent.send(uid, 2, { manifests: [configMap(kept, { a: "1" })] });

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "1" });
  expect(await kube.get(await configMapRef(removed))).toBeUndefined();
});

test("M16: a restarted agent that hears nothing from its server removes nothing", async () => {
  const uid = crypto.randomUUID();
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, { manifests: [configMap(`safe-${uid}`, {})] });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  }

  await using agent = await startAgent(kube);
  await agent.reconnect();
  await Bun.sleep(500);

  expect(await kube.get(await configMapRef(`safe-${uid}`))).toBeDefined();
  expect(agent.reports).toEqual([]);
});

test("M17: a clock that stepped back does not make reports look old", async () => {
  const uid = crypto.randomUUID();
  let before: Report;
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, { manifests: [configMap(`clock-${uid}`, { a: "1" })] });
    before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  }

  await using agent = await startAgent(kube, { nowMs: () => Date.now() - 3_600_000 });
  await agent.send(uid, 2, { manifests: [configMap(`clock-${uid}`, { a: "2" })] });

  const after = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(BigInt(after.sequence)).toBeGreaterThan(BigInt(before.sequence));
});

test("a deletion that was under way is finished and confirmed after a restart", async () => {
  const uid = crypto.randomUUID();
  const held = configMap(`held-${uid}`, {});
  const finalized = { ...held, metadata: { ...held.metadata, finalizers: ["test.io/hold"] } };
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 1, { manifests: [finalized] });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    await agent.delete(uid, 1);
    await agent.until(uid, (report) => isTrue(report, "Deleting"));
  }

  await using agent = await startAgent(kube);
  const ref = await configMapRef(held.metadata.name);
  await kube.patch(ref, { metadata: { finalizers: null } }, {
    type: "merge",
    fieldManager: "test",
  });
  await agent.delete(uid, 1);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await kube.get(ref)).toBeUndefined();
});

test("A115: statuses that changed while the server was away arrive once it is back, the last one only", async () => {
  const uid = crypto.randomUUID();
  await using agent = await startAgent(kube);
  await agent.send(uid, 1, feedbackOn(uid, { a: "1" }));
  await agent.until(uid, (report) => raw(report) === '{"a":"1"}');
  agent.isServerAway = true;
  await agent.send(uid, 2, feedbackOn(uid, { a: "2" }));
  const ref = await configMapRef(`feedback-${uid}`);
  await eventually(async () => (await kube.get(ref))?.["data"], (data) => equal(data, { a: "2" }));

  agent.isServerAway = false;
  await agent.reconnect();

  const report = await agent.until(uid, (report) => report.version === 2);
  expect(raw(report)).toBe('{"a":"2"}');
  expect(agent.resyncs.at(-1)).toContainEqual({ resourceId: uid, version: 2 });
});

test("an older version never replaces a newer one, not even after a restart", async () => {
  const uid = crypto.randomUUID();
  const ref = await configMapRef(`version-${uid}`);
  {
    await using agent = await startAgent(kube);
    await agent.send(uid, 5, { manifests: [configMap(ref.name, { v: "5" })] });
    await agent.until(uid, (report) => isTrue(report, "Applied", 5));
  }

  await using agent = await startAgent(kube);
  await agent.send(uid, 3, { manifests: [configMap(ref.name, { v: "3" })] });
  await Bun.sleep(200);
  expect((await kube.get(ref))?.["data"]).toEqual({ v: "5" });
  await agent.send(uid, 6, { manifests: [configMap(ref.name, { v: "6" })] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 6));
  await agent.send(uid, 5, { manifests: [configMap(ref.name, { v: "5" })] });
  await Bun.sleep(200);

  expect((await kube.get(ref))?.["data"]).toEqual({ v: "6" });
});

test(
  "a spec that is older than the held one is answered by what is held, once for each",
  async () => {
    const uid = crypto.randomUUID();
    const spec = (value: string) => ({ manifests: [configMap(`held-${uid}`, { value })] });
    {
      await using agent = await startAgent(kube);
      await agent.send(uid, 5, spec("5"));
      await agent.until(uid, (report) => isTrue(report, "Applied", 5));
      const before = agent.reports.length;

      await agent.send(uid, 4, spec("4"));

      const reports = await eventually(() => agent.reports.slice(before), (all) => all.length > 0);
      await Bun.sleep(300);
      expect(reports.map(({ version }) => version)).toEqual([5]);
      expect(agent.reports).toHaveLength(before + 1);
    }

    // After a restart the status is not known before the spec is; the list says what is held.
    await using agent = await startAgent(kube);
    const asked = agent.resyncs.length;
    await Bun.sleep(5_100);
    for (let times = 0; times < 3; times++) await agent.send(uid, 4, spec("4"));

    await eventually(() => agent.resyncs.length > asked);
    expect(agent.resyncs.slice(asked)).toHaveLength(1);
    expect(agent.resyncs.at(-1)).toContainEqual({ resourceId: uid, version: 5, lacksSpec: true });
    expect(agent.reports.filter((report) => report.uid === uid)).toEqual([]);
  },
  15_000,
);

test("an AppliedManifestWork deleted by hand takes its objects along, and the work is applied anew", async () => {
  const uid = crypto.randomUUID();
  await using agent = await startAgent(kube);
  const ref = await configMapRef(`anew-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, {})] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const ledger = await ledgerRef(kube, uid);
  const [first, before] = [uidOf(await kube.get(ledger)), uidOf(await kube.get(ref))];

  await kube.delete(ledger, { uid: first, propagationPolicy: "Background" });

  await eventually(async () => uidOf(await kube.get(ledger)), (uid) => uid !== "" && uid !== first);
  await eventually(async () => uidOf(await kube.get(ref)), (uid) => uid !== "" && uid !== before);
});

function bothStrategies(uid: string) {
  return {
    manifests: [configMap(`update-${uid}`, { a: "1" }), configMap(`ssa-${uid}`, { a: "1" })],
    manifestConfigs: [{
      resourceIdentifier: {
        group: "",
        resource: "configmaps",
        name: `ssa-${uid}`,
        namespace: "default",
      },
      updateStrategy: { type: "ServerSideApply" },
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "data", path: ".data" }] }],
    }],
  };
}

function feedbackOn(uid: string, data: Record<string, string>) {
  return {
    manifests: [configMap(`feedback-${uid}`, data)],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: "*", namespace: "*" },
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "data", path: ".data" }] }],
    }],
  };
}

/** The requests that wrote something with this text in its name, from the API server's audit log. */
async function writes(text: string): Promise<string[]> {
  const all = await auditedWrites(cluster.directory);
  return all.filter(({ uri }) => uri.includes(text)).map(({ verb, uri }) => `${verb} ${uri}`);
}

function configMapRef(name: string): Promise<ObjectRef> {
  return refOf(kube, "v1", "ConfigMap", name);
}

function uidOf(object: Record<string, unknown> | undefined): string {
  return (object?.["metadata"] as { uid?: string } | undefined)?.uid ?? "";
}

function raw(report: Report): string {
  return feedbackOf(report)[0]?.fieldValue.jsonRaw ?? "";
}

function equal(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b);
}

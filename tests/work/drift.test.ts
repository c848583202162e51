/** What becomes of objects that others change or delete, on a real API server. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { blame } from "../../src/lib/work/blame.ts";
import { DRIFT_POLICY_ANNOTATION } from "../../src/lib/work/drift.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube, {
  pace: {
    drift: { calmMs: 1_500, backoff: { firstMs: 5, factor: 2, ceilingMs: 60_000 } },
    retry: { firstMs: 200, factor: 2, ceilingMs: 60_000 },
  },
});

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const strategy = (name: string, type: string, more: JsonObject = {}) => ({
  resourceIdentifier: { group: "", resource: "configmaps", name, namespace: "*" },
  updateStrategy: { type, ...more },
});

const configMapRef = (name: string) => refOf(kube, "v1", "ConfigMap", name);

/** Changes an object as somebody else. */
async function edit(ref: ObjectRef, value: string, fieldManager = "kubectl-edit"): Promise<void> {
  await kube.patch(ref, { data: { a: value } }, { type: "merge", fieldManager });
}

async function remove(ref: ObjectRef): Promise<void> {
  const uid = String(metadataOf(await kube.get(ref))["uid"]);
  await kube.delete(ref, { uid, propagationPolicy: "Background" });
}

const valueOf = async (ref: ObjectRef) => {
  const object = await kube.get(ref);
  return object === undefined ? "missing" : (object["data"] as JsonObject | undefined)?.["a"];
};

const until = (ref: ObjectRef, value: string) =>
  eventually(() => valueOf(ref), (found) => found === value);

test("A15: what others change or delete is set right as its strategy says, and the conditions stay valid", async () => {
  const uid = crypto.randomUUID();
  const [update, apply, create, read, ignore] = await Promise.all(
    ["update", "apply", "create", "read", "ignore"].map((name) => configMapRef(`${name}-${uid}`)),
  ) as [ObjectRef, ObjectRef, ObjectRef, ObjectRef, ObjectRef];
  await kube.create(read, configMap(read.name, { a: "1" }), WRITER);
  const manifests = [update, apply, create, read, ignore].map(({ name }) =>
    configMap(name, { a: "1" })
  );
  await agent.send(uid, 1, {
    manifests,
    manifestConfigs: [
      strategy(apply.name, "ServerSideApply", { serverSideApply: { force: true } }),
      strategy(create.name, "CreateOnly"),
      strategy(read.name, "ReadOnly"),
      strategy(ignore.name, "ServerSideApply", {
        serverSideApply: {
          force: true,
          ignoreFields: [{ condition: "OnSpokePresent", jsonPaths: [".data.a"] }],
        },
      }),
    ],
  });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  for (const ref of [create, read, ignore, update, apply]) await edit(ref, "theirs");

  for (const ref of [update, apply]) await until(ref, "1");
  for (const ref of [create, read, ignore]) expect(await valueOf(ref)).toBe("theirs");
  for (const ref of [update, apply, create, ignore]) await remove(ref);
  for (const ref of [update, apply, create, ignore]) await until(ref, "1");
  const report = await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(isTrue(report, "Applied", 1)).toBeTrue();
  expect(agent.reports.filter((each) => each.uid === uid && !isTrue(each, "Applied", 1))).toEqual(
    [],
  );
});

test("whoever changes an object again each time is named, and answered more and more slowly", async () => {
  const uid = crypto.randomUUID();
  const ref = await configMapRef(`fought-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "ours" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  const foe = await startFoe(ref);

  const told = await agent.until(uid, (report) => conditionOf(report, "Drifted", 0) !== undefined);

  expect(conditionOf(told, "Drifted", 0)).toMatchObject({
    status: "True",
    reason: "Contested",
    message: "The object is changed again each time it was set right, by " +
      '"foe" (data.a); it is set right less and less often',
  });
  expect(isTrue(told, "Applied", 1)).toBeTrue();
  // By then the pauses sum up to a multiple of all before.
  const rounds = foe.rounds;
  expect(rounds).toBeLessThan(10);
  await foe.stop();
  await until(ref, "ours");
  const calm = await agent.until(uid, (report) => conditionOf(report, "Drifted", 0) === undefined);
  expect(isTrue(calm, "Applied", 1)).toBeTrue();
});

/** Plays a controller that wants the object otherwise. */
async function startFoe(ref: ObjectRef) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const foe = { rounds: 0, stop: () => Promise.resolve() };
  const watch = kube.watch(ref.type, ref.namespace, {
    fieldSelector: `metadata.name=${ref.name}`,
    signal,
  });
  const fighting = (async () => {
    for await (const { type, object } of watch) {
      if (type !== "ADDED" && type !== "MODIFIED") continue;
      if ((object["data"] as JsonObject)["a"] === "theirs") continue;
      foe.rounds++;
      await edit(ref, "theirs", "foe");
    }
  })();
  await until(ref, "theirs");
  foe.stop = async () => {
    stopping.abort();
    await fighting;
  };
  return foe;
}

test("changes that need no correction are no fight, however many", async () => {
  const uid = crypto.randomUUID();
  const ref = await configMapRef(`labelled-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "ours" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  for (let i = 0; i < 12; i++) {
    const labels = { theirs: String(i) };
    await kube.patch(ref, { metadata: { labels } }, { type: "merge", fieldManager: "other" });
    await Bun.sleep(100);
  }
  await edit(ref, "theirs");

  await until(ref, "ours");
  const told = agent.reports.filter((report) => report.uid === uid);
  expect(told.filter((report) => conditionOf(report, "Drifted", 0) !== undefined)).toEqual([]);
}, 20_000);

test("a fight over one object of a work does not hold up the others", async () => {
  const uid = crypto.randomUUID();
  const [fought, other] = await Promise.all(
    ["fought", "other"].map((name) => configMapRef(`${name}-${uid}`)),
  ) as [ObjectRef, ObjectRef];
  await agent.send(uid, 1, {
    manifests: [fought, other].map(({ name }) => configMap(name, { a: "ours" })),
  });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  const foe = await startFoe(fought);
  await agent.until(uid, (report) => conditionOf(report, "Drifted", 0) !== undefined);

  const rounds = foe.rounds;
  for (let round = 0; round < 6; round++) {
    await remove(other);
    await until(other, "ours");
    await agent.send(uid, 2 + round, {
      manifests: [fought, other].map(({ name }) => configMap(name, { a: "ours" })),
    });
    await agent.until(uid, (report) => isTrue(report, "Applied", 2 + round));
  }

  // The passes over the work, two each time, have left the fought object its pauses: eight of them take half a minute.
  expect(foe.rounds - rounds).toBeLessThan(8);
  await foe.stop();
});

test("under the policy report a drift is told and nothing is written, until it is undone or the manifest changes", async () => {
  const uid = crypto.randomUUID();
  const ref = await configMapRef(`reported-${uid}`);
  const metadata = { annotations: { [DRIFT_POLICY_ANNOTATION]: "report" } };
  const send = (version: number, value: string) =>
    agent.send(uid, version, { manifests: [configMap(ref.name, { a: value })] }, { metadata });
  const drifted = (report: Parameters<typeof conditionOf>[0]) => conditionOf(report, "Drifted", 0);
  await send(1, "1");
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await edit(ref, "theirs");
  const told = await agent.until(uid, (report) => drifted(report)?.status === "True");

  expect(drifted(told)).toMatchObject({
    reason: "DriftReported",
    message: 'The object was changed, by "kubectl-edit" (data.a); its drift policy is "report", ' +
      "so it stays until its manifest changes",
  });
  expect(isTrue(told, "Applied", 1)).toBeTrue();
  expect(await valueOf(ref)).toBe("theirs");
  await edit(ref, "1");
  await agent.until(uid, (report) => drifted(report) === undefined);
  await remove(ref);
  const gone = await agent.until(uid, (report) => drifted(report) !== undefined);
  expect(drifted(gone)?.message).toStartWith("The object was deleted;");
  expect(await valueOf(ref)).toBe("missing");
  await send(2, "2");
  const applied = await agent.until(uid, (report) => isTrue(report, "Available", 2));
  expect(drifted(applied)).toBeUndefined();
  expect(await valueOf(ref)).toBe("2");
});

test("the policy of a manifest counts more than its work's, and a policy that is taken back heals", async () => {
  const uid = crypto.randomUUID();
  const [own, other] = await Promise.all(
    ["own", "other"].map((name) => configMapRef(`${name}-${uid}`)),
  ) as [ObjectRef, ObjectRef];
  const healed = configMap(own.name, { a: "1" });
  const metadata = { ...healed.metadata, annotations: { [DRIFT_POLICY_ANNOTATION]: "heal" } };
  const spec = { manifests: [{ ...healed, metadata }, configMap(other.name, { a: "1" })] };
  const reporting = { metadata: { annotations: { [DRIFT_POLICY_ANNOTATION]: "report" } } };
  await agent.send(uid, 1, spec, reporting);
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await edit(other, "theirs");
  await edit(own, "theirs");
  await until(own, "1");
  await agent.until(uid, (report) => conditionOf(report, "Drifted", 1) !== undefined);
  expect(await valueOf(other)).toBe("theirs");

  await agent.send(uid, 2, spec);

  await until(other, "1");
  await agent.until(uid, (report) => conditionOf(report, "Drifted", 1) === undefined);
});

test("a drift policy that nobody knows is told, and the object is healed", async () => {
  const uid = crypto.randomUUID();
  const ref = await configMapRef(`odd-${uid}`);
  const metadata = { annotations: { [DRIFT_POLICY_ANNOTATION]: "Ignore" } };

  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "1" })] }, { metadata });

  const report = await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(conditionOf(report, "Drifted", 0)).toMatchObject({
    status: "False",
    reason: "UnknownDriftPolicy",
    message: 'The drift policy "Ignore" is neither "heal" nor "report"; the object is healed',
  });
  await edit(ref, "theirs");
  await until(ref, "1");
});

test("who is blamed is the last writer, with the fields that are its own", () => {
  const entry = (manager: string, time: string, fieldsV1: JsonObject, more: JsonObject = {}) => ({
    manager,
    time,
    fieldsV1,
    ...more,
  });
  const object = (...managedFields: JsonObject[]) => ({ metadata: { managedFields } });
  const own = entry("work-agent", "2026-01-01T00:00:02Z", { "f:data": {} });
  const list = { "f:spec": { "f:ports": { 'k:{"port":80}': { ".": {}, "f:port": {} } } } };

  expect(blame(object(own), "work-agent")).toBeUndefined();
  expect(blame(object(own, entry("old", "2026-01-01T00:00:01Z", {})), "work-agent"))
    .toBeUndefined();
  expect(
    blame(
      object(
        own,
        entry("controller", "2026-01-01T00:00:04Z", list, { subresource: "status" }),
        entry("edit", "2026-01-01T00:00:03Z", list),
      ),
      "work-agent",
    ),
  ).toBe('"edit" (spec.ports[{"port":80}].port)');
  const many = { "f:data": { "f:a": {}, "f:b": {}, "f:c": {}, "f:d": {}, "f:e": {} } };
  expect(blame(object(entry("edit", "2026-01-01T00:00:03Z", many)), "work-agent"))
    .toBe('"edit" (data.a, data.b, data.c and 2 more)');
});

test("M17: a change is undone though the agent's clock steps back an hour once it is seen", async () => {
  let backMs = 0;
  const meter = { added: () => {}, retried: () => {}, ran: () => {} };
  const witness = {
    turned: () => {},
    drifted: () => void (backMs = 3_600_000),
    undeletable: () => {},
    queue: () => meter,
  };
  const uid = crypto.randomUUID();
  const nowMs = () => Date.now() - backMs;
  await using agent = await startAgent(kube, { hub: uid, nowMs, witness });
  const ref = await configMapRef(`clock-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "1" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await edit(ref, "2");

  await eventually(
    async () => (await kube.get(ref))?.["data"],
    (data) => Bun.deepEquals(data, { a: "1" }),
  );
  expect(backMs).toBeGreaterThan(0);
});

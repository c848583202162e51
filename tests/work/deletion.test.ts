/** Deletions on a real API server, and what comes between them and their confirmation. */

import { afterAll, expect, test } from "bun:test";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { type AgentUnderTest, configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const startMs = Date.now() - 600_000;
/** Moments by the database's clock. */
const clock = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString();

const find = async (name: string) => await kube.get(await refOf(kube, "v1", "ConfigMap", name));

/** Another work's way through the agent: whatever came before has had its turn. */
async function passBy(agent: AgentUnderTest): Promise<void> {
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap(`by-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
}

/** The API server, but one kind of call waits before it is made, or after. */
function holding(
  matches: (call: string, name: string) => boolean,
  when: "before" | "after",
): { kube: Kube; reached: Promise<void>; release: () => void } {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let isDone = false;
  const held = async <T>(call: string, name: string, run: () => Promise<T>): Promise<T> => {
    if (isDone || !matches(call, name)) return await run();
    isDone = true;
    const wait = async () => {
      reached.resolve();
      await released.promise;
    };
    if (when === "before") await wait();
    const result = await run();
    if (when === "after") await wait();
    return result;
  };
  return {
    kube: {
      ...kube,
      create: (ref, object, options) =>
        held("create", ref.name, () => kube.create(ref, object, options)),
      replace: (ref, object, options) =>
        held("replace", ref.name, () => kube.replace(ref, object, options)),
      patch: (ref, patch, options) =>
        held(
          options.subresource ?? ("status" in patch ? "status" : "patch"),
          ref.name,
          () => kube.patch(ref, patch, options),
        ),
      delete: (ref, options) => held("delete", ref.name, () => kube.delete(ref, options)),
    },
    reached: reached.promise,
    release: () => released.resolve(),
  };
}

test("I4: a late create of a deleted resource brings nothing back, nor after a restart of the agent", async () => {
  const uid = crypto.randomUUID();
  const spec = { manifests: [configMap(`late-${uid}`, {})] };
  {
    await using agent = await startAgent(kube, { hub: `hub-${uid}` });
    await agent.send(uid, 1, spec, { readAt: clock(0) });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    await agent.delete(uid, 1, { deletedAt: clock(10), readAt: clock(11) });
    await agent.until(uid, (report) => isTrue(report, "Deleted"));

    await agent.send(uid, 1, spec, { readAt: clock(0) });
    await agent.send(uid, 2, spec, { readAt: clock(9), action: "update_request" });
    await passBy(agent);
    expect(await find(`late-${uid}`)).toBeUndefined();
  }

  await using agent = await startAgent(kube, { hub: `hub-${uid}` });
  await agent.send(uid, 1, spec, { readAt: clock(0) });
  await agent.send(uid, 2, spec, { readAt: clock(9), action: "resync_response" });
  await passBy(agent);
  expect(await find(`late-${uid}`)).toBeUndefined();

  await agent.send(uid, 1, spec, { readAt: clock(20) });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  expect(await find(`late-${uid}`)).toBeDefined();
});

test("I4: a late deletion leaves what was created since, also after a restart of the agent", async () => {
  const uid = crypto.randomUUID();
  const spec = { manifests: [configMap(`reborn-${uid}`, {})] };
  {
    await using agent = await startAgent(kube, { hub: `hub-${uid}` });
    await agent.send(uid, 1, spec, { readAt: clock(30) });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  }

  await using agent = await startAgent(kube, { hub: `hub-${uid}` });
  await agent.delete(uid, 1, { deletedAt: clock(22), readAt: clock(23) });
  await passBy(agent);

  expect(await find(`reborn-${uid}`)).toBeDefined();
  expect(agent.reports.filter((report) => report.uid === uid)).toEqual([]);
});

const MOMENTS: [string, (uid: string) => (call: string, name: string) => boolean][] = [
  [
    "an object is being created",
    (uid) => (call, name) => call === "create" && name === `m6-${uid}`,
  ],
  [
    "its AppliedManifestWork is being created",
    (uid) => (call, name) => call === "create" && name.endsWith(`-${uid}`) && name !== `m6-${uid}`,
  ],
  [
    "its list of objects is being written",
    (uid) => (call, name) => call === "status" && name.endsWith(uid),
  ],
  ["its record is being written", (uid) => (call, name) => call === "patch" && name.endsWith(uid)],
];

for (const [moment, matches] of MOMENTS) {
  for (const when of ["before", "after"] as const) {
    test(`M6: a deletion that arrives while ${moment} (${when} it is stored) ends deleted`, async () => {
      const uid = crypto.randomUUID();
      const held = holding(matches(uid), when);
      await using agent = await startAgent(held.kube);
      await agent.send(uid, 1, { manifests: [configMap(`m6-${uid}`, {})] });
      await held.reached;

      await agent.delete(uid, 1);
      await agent.send(uid, 2, { manifests: [configMap(`m6-${uid}`, {})] });
      held.release();

      await agent.until(uid, (report) => isTrue(report, "Deleted"));
      await passBy(agent);
      expect(await find(`m6-${uid}`)).toBeUndefined();
      expect(await kube.get(await ledgerRef(kube, uid))).toBeUndefined();
      const last = agent.reports.findLast((report) => report.uid === uid);
      expect(last && isTrue(last, "Deleted")).toBeTrue();
    });
  }
}

test("M6: a deletion that arrives while a report is under way ends deleted, and is confirmed after it", async () => {
  const uid = crypto.randomUUID();
  await using agent = await startAgent(kube, { hub: `hub-${uid}` });
  const report = agent.holdReports();
  await agent.send(uid, 1, { manifests: [configMap(`m6-${uid}`, {})] });
  await report.reached;

  await agent.delete(uid, 1);
  await eventually(() => find(`m6-${uid}`), (object) => object === undefined);
  const early = agent.reports.filter(({ uid: id }) => id === uid);
  report.release();

  const last = await agent.until(uid, (report) => isTrue(report, "Deleted"));
  const sequences = agent.reports.filter(({ uid: id }) => id === uid).map(({ sequence }) =>
    BigInt(sequence)
  );
  expect(early).toEqual([]);
  expect(sequences).toEqual(sequences.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(BigInt(last.sequence)).toBe(sequences.at(-1) ?? 0n);
});

test("M6: an update, a question and a repetition that arrive while a deletion is under way change nothing", async () => {
  const uid = crypto.randomUUID();
  const held = holding((call, name) => call === "delete" && name === `m6-${uid}`, "before");
  await using agent = await startAgent(held.kube);
  await agent.send(uid, 1, { manifests: [configMap(`m6-${uid}`, {})] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await agent.delete(uid, 1);
  await held.reached;

  await agent.send(uid, 2, { manifests: [configMap(`m6-${uid}`, { a: "2" })] });
  await agent.send(uid, 1, { manifests: [configMap(`m6-${uid}`, {})] });
  await agent.ask(uid, "another");
  await agent.delete(uid, 1);
  held.release();

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  await passBy(agent);
  expect(await find(`m6-${uid}`)).toBeUndefined();
  expect(await kube.get(await ledgerRef(kube, uid))).toBeUndefined();
});

test("M6: an agent that dies after deleting and before confirming takes no older word, and confirms", async () => {
  const uid = crypto.randomUUID();
  const spec = { manifests: [configMap(`m6-${uid}`, {})] };
  {
    await using agent = await startAgent(kube, { hub: `hub-${uid}` });
    await agent.send(uid, 1, spec, { readAt: clock(40) });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    agent.isServerAway = true;
    await agent.delete(uid, 1, { deletedAt: clock(50), readAt: clock(51) });
    await eventually(() => find(`m6-${uid}`), (object) => object === undefined);
  }

  await using agent = await startAgent(kube, { hub: `hub-${uid}` });
  await agent.send(uid, 2, spec, { readAt: clock(45), action: "update_request" });
  await passBy(agent);
  const back = await find(`m6-${uid}`);
  await agent.delete(uid, 1, { deletedAt: clock(50), readAt: clock(60) });

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(back).toBeUndefined();
  expect(await find(`m6-${uid}`)).toBeUndefined();
});

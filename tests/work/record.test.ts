/** How much of the cluster an agent's memory of a work takes, and that it does not grow. */

import { expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { ResourceMeta } from "../../src/lib/wire/work_status.ts";
import { setCondition } from "../../src/lib/work/conditions.ts";
import { decodeRecord, encodeRecord } from "../../src/lib/work/record.ts";
import { alignSlots } from "../../src/lib/work/slots.ts";
import { metadataOf, type Slot, type Work } from "../../src/lib/work/work.ts";
import { configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

/** What Kubernetes takes as annotations of one object. */
const ANNOTATIONS_MAX = 256 * 1024;
const NOW_MS = Date.parse("2026-01-02T03:04:05Z");

const metaOf = (ordinal: number, name: string): ResourceMeta => ({
  ...{ ordinal, group: "apps", version: "v1", kind: "Deployment", resource: "deployments" },
  ...{ name, namespace: "a-namespace-of-usual-length" },
});

function newWork(): Work {
  const [uid, source] = [crypto.randomUUID(), "maestro"];
  return {
    ...{ uid, name: uid, version: 0, source, dataType: "manifestbundles", metadata: {} },
    ...{ logTracing: "{}", isGone: false, isSettled: true, mustReport: false },
    ...{ conditions: [], slots: [], readAt: "2026-01-02T03:04:05.123456Z" },
  };
}

/** What a pass leaves of a new version, with each value as long and as random as a real one. */
function pass(work: Work, version: number, names: string[]): void {
  work.version = version;
  work.specHash = new Bun.CryptoHasher("sha256").update(`${version}`).digest("hex");
  work.slots = alignSlots(work.slots, names.map((name, ordinal) => metaOf(ordinal, name)));
  for (const slot of work.slots) {
    for (const type of ["Applied", "Available", "StatusFeedbackSynced"]) {
      const message = `${type} of ${slot.meta.name} in version ${version}`;
      const condition = { type, status: "True" as const, reason: "AsExpected", message };
      setCondition(slot.conditions, { ...condition, observedGeneration: version }, NOW_MS);
    }
  }
}

/** What each slot has of its own and cannot be compressed. */
function finish(slot: Slot): void {
  slot.uid = crypto.randomUUID();
  slot.appliedHash = crypto.randomUUID().slice(0, 22);
  slot.mark = crypto.randomUUID().slice(0, 22);
  slot.valuesHash = crypto.randomUUID().slice(0, 22);
}

test("the record of 500 manifests fits after ten thousand versions, with every one of them", () => {
  const work = newWork();
  const names = Array.from({ length: 500 }, (_, index) => `deployment-${index}`);
  pass(work, 1, names);
  work.slots.forEach(finish);
  const first = encodeRecord(work);

  for (let version = 2; version <= 10_000; version++) {
    // A tenth has another name each time: those before must leave no trace.
    const turned = version % 100 === 0
      ? names.map((name, index) => index % 10 === 0 ? `${name}-${version}` : name)
      : names;
    if (turned !== names || version > 9_990) pass(work, version, turned);
    else work.version = version;
  }
  pass(work, 10_001, names);
  work.slots.forEach(finish);
  const last = encodeRecord(work);

  expect(decodeRecord(last)?.slots).toHaveLength(500);
  expect(last.length).toBeLessThan(ANNOTATIONS_MAX / 2);
  expect(last.length).toBeLessThan(first.length * 1.1);
});

test("a record that would be too large keeps what it says of the work as a whole", () => {
  const work = newWork();
  pass(work, 7, Array.from({ length: 5_000 }, () => crypto.randomUUID()));
  work.slots.forEach(finish);

  const text = encodeRecord(work);

  expect(text.length).toBeLessThan(ANNOTATIONS_MAX);
  expect(decodeRecord(text)).toMatchObject({ version: 7, slots: [] });
});

test("W3: a record that would be too large keeps what is complete, which must not run again", () => {
  const work = newWork();
  pass(work, 7, Array.from({ length: 5_000 }, () => crypto.randomUUID()));
  work.slots.forEach(finish);
  const done = work.slots[42];
  const complete = { type: "Complete", status: "True" as const, reason: "Done", message: "" };
  setCondition(done?.conditions ?? [], { ...complete, observedGeneration: 7 }, NOW_MS);

  const record = decodeRecord(encodeRecord(work));

  expect(record?.slots.map(({ meta }) => meta)).toEqual([done?.meta as ResourceMeta]);
});

test("ten thousand versions of a work leave as much on the cluster as ten", async () => {
  const kube = createSimulatedKube();
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  const sizes: number[] = [];

  for (let version = 1; version <= 10_000; version++) {
    // The name changes, so each version removes what the one before has made.
    const manifest = configMap(`grows-${version % 7}-${uid}`, { version: `${version % 10}` });
    await agent.send(uid, version, { manifests: [manifest] });
    if (version !== 10 && version % 1_000 !== 0) continue;
    await agent.until(uid, (report) => isTrue(report, "Applied", version));
    const object = await kube.get(await ledgerRef(kube, uid));
    const { annotations, ...metadata } = metadataOf(object);
    expect(JSON.stringify(annotations ?? {}).length).toBeLessThan(2_000);
    sizes.push(JSON.stringify({ ...object, metadata }).length);
  }

  expect(Math.max(...sizes)).toBeLessThan((sizes[0] ?? 0) + 100);
  const { items } = await kube.list((await ledgerRef(kube, uid)).type, "");
  expect(items).toHaveLength(1);
}, 30_000);

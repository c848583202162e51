/** Who may work: elections and claims on a real API server. */

import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { claimPlace } from "../../src/lib/kube/claim.ts";
import { electLeader } from "../../src/lib/kube/lease.ts";
import { leaseObject, microTime } from "../../src/lib/kube/lease_object.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { testLogger } from "../harness/postgres.ts";
import { newName, openKubeconfig, refOf } from "./objects.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const HOUR_MS = 3_600_000;
const unused = () => {};

function election(identity: string, nowMs = Date.now) {
  return {
    ...{ identity, leaseDurationMs: 1_500, renewDeadlineMs: 1_000, retryPeriodMs: 300, nowMs },
    elapsedMs: () => performance.now(),
    log: testLogger(),
  };
}

function claim(identity: string, isGone?: "gone") {
  return {
    ...{ identity, birthplace: "elsewhere/1", isGone: () => isGone === "gone", answerMs: 300 },
    ...{ retryPeriodMs: 300, nowMs: Date.now, log: testLogger() },
  };
}

test("W34: a leader whose clock is an hour slow keeps its lease as long as it renews it", async () => {
  const lease = leaseObject(kube, "default", newName("lease"));
  const slow = election("slow", () => Date.now() - HOUR_MS);
  const { signal } = new AbortController();
  await using leadership = await electLeader(lease, slow, signal, unused);
  const stop = new AbortController();
  let standing = 0;

  const second = electLeader(lease, election("second"), stop.signal, () => standing++);

  // Longer than a lease that nobody renews.
  await Bun.sleep(2_500);
  expect(standing).toBeGreaterThan(3);
  expect(leadership?.problem()).toBeUndefined();
  stop.abort();
  expect(await second).toBeUndefined();
});

test("W34: a lease that nobody renews is taken over, whatever time its holder wrote", async () => {
  const lease = leaseObject(kube, "default", newName("lease"));
  const future = microTime(Date.now() + HOUR_MS);
  await lease.write({
    ...{ holder: "dead", durationMs: 1_000, transitions: 4, annotations: {} },
    ...{ acquireTime: future, renewTime: future },
  });
  const { signal } = new AbortController();

  await using leadership = await electLeader(lease, election("next"), signal, unused);

  expect(leadership?.problem()).toBeUndefined();
  expect(await lease.read()).toMatchObject({ holder: "next", transitions: 5 });
});

test("W34: a leader that cannot renew has lost before its lease has expired", async () => {
  let isCut = false;
  const cut = await openKubeconfig(cluster.kubeconfig, {
    refusal: () => isCut ? "the test said so" : undefined,
  });
  const name = newName("lease");
  const { signal } = new AbortController();
  await using leadership = await electLeader(
    leaseObject(cut, "default", name),
    election("first"),
    signal,
    unused,
  );
  const second = electLeader(
    leaseObject(kube, "default", name),
    election("second"),
    signal,
    unused,
  );

  isCut = true;

  expect(await leadership?.lost).toMatch(/^it was not renewed for 1 s$/);
  await using next = await second;
  expect(next?.problem()).toBeUndefined();
});

test("W34: whoever may not change anything any more is refused before the call", async () => {
  const refused = await openKubeconfig(cluster.kubeconfig, { refusal: () => "another one leads" });
  const ref = await refOf(kube, "v1", "ConfigMap", newName());

  const call = refused.create(ref, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: ref.name },
  }, {
    fieldManager: "test",
  });

  await expect(call).rejects.toThrow("another one leads");
  expect(await refused.get(ref)).toBeUndefined();
});

test("M30: a claim whose holder does not answer is taken over, one whose holder does is not", async () => {
  const lease = leaseObject(kube, "default", newName("claim"));
  const time = microTime(Date.now());
  await lease.write({
    ...{ holder: "dead", durationMs: 1_000, transitions: 0, annotations: {} },
    ...{ acquireTime: time, renewTime: time },
  });
  const stop = new AbortController();
  const holders: string[] = [];

  const first = await claimPlace(lease, claim("first"), stop.signal, unused);
  const second = claimPlace(lease, claim("second"), stop.signal, (holder) => holders.push(holder));

  await eventually(() => holders.length, (count) => count > 2);
  expect(first?.problem()).toBeUndefined();
  expect(new Set(holders)).toEqual(new Set(["first"]));
  await first?.[Symbol.asyncDispose]();
  await using next = await second;
  expect(await lease.read()).toMatchObject({ holder: "second" });
  expect(next?.problem()).toBeUndefined();
});

test(
  "M30: a holder gets its time to answer, whatever ends the watch of the one who asks",
  async () => {
    const name = newName("claim");
    const lease = leaseObject(kube, "default", name);
    const time = microTime(Date.now());
    await lease.write({
      ...{ holder: "slow", durationMs: 1_000, transitions: 0, annotations: {} },
      ...{ acquireTime: time, renewTime: time },
    });
    // The server ends this one's watches after a second.
    const brief = await openKubeconfig(cluster.kubeconfig, { watchSeconds: 1 });
    const stop = new AbortController();
    const holders: string[] = [];
    const options = { ...claim("second"), answerMs: 4_000, retryPeriodMs: 60_000 };

    const second = claimPlace(
      leaseObject(brief, "default", name),
      options,
      stop.signal,
      (holder) => holders.push(holder),
    );
    await Bun.sleep(2_500);
    const asked = await lease.read();
    if (asked === undefined) throw new Error("the lease is gone");
    const question = asked.annotations["maestro.io/asked"] ?? "";
    const annotations = { ...asked.annotations, "maestro.io/answered": question };
    await lease.write({ ...asked, annotations }, asked);

    await eventually(() => holders, ({ length }) => length > 0);
    expect(holders).toEqual(["slow"]);
    stop.abort();
    expect(await second).toBeUndefined();
  },
  15_000,
);

test("M30: a holder that answers another's question has answered all that were asked before", async () => {
  const lease = leaseObject(kube, "default", newName("claim"));
  const time = microTime(Date.now());
  const busy = {
    ...{ holder: "busy", durationMs: 1_000, transitions: 0, annotations: {} },
    ...{ acquireTime: time, renewTime: time },
  };
  await lease.write(busy);
  const stop = new AbortController();
  const holders: string[] = [];
  const options = { ...claim("second"), answerMs: 2_000, retryPeriodMs: 60_000 };

  const second = claimPlace(lease, options, stop.signal, (holder) => holders.push(holder));
  const asked = await eventually(
    () => lease.read(),
    (record) => record?.annotations["maestro.io/asked"] !== undefined,
  );
  // As it looks after a third one has asked, too, and the holder has found only that question.
  const annotations = { "maestro.io/asked": "third", "maestro.io/answered": "third" };
  await lease.write({ ...busy, annotations }, asked);

  await eventually(() => holders, ({ length }) => length > 0);
  expect(await lease.read()).toMatchObject({ holder: "busy", transitions: 0 });
  stop.abort();
  expect(await second).toBeUndefined();
});

test("M30: an answer that comes after the last look is heard", async () => {
  const lease = leaseObject(kube, "default", newName("claim"));
  const time = microTime(Date.now());
  await lease.write({
    ...{ holder: "late", durationMs: 1_000, transitions: 0, annotations: {} },
    ...{ acquireTime: time, renewTime: time },
  });
  const seen: string[] = [];
  const watched = {
    ...lease,
    async read() {
      const found = await lease.read();
      seen.push(found?.holder ?? "");
      if (found !== undefined && seen.length === 2) {
        const annotations = { ...found.annotations, "maestro.io/answered": "at last" };
        await lease.write({ ...found, annotations }, found);
      }
      return found;
    },
  };
  const { signal } = new AbortController();

  await using _place = await claimPlace(watched, claim("second"), signal, unused);

  // Asked once more, it is silent.
  expect(seen.slice(0, 4)).toEqual(Array(4).fill("late"));
  expect(await lease.read()).toMatchObject({ holder: "second" });
});

test("M30: a claim that nobody asks about is written once", async () => {
  const lease = leaseObject(kube, "default", newName("claim"));
  const { signal } = new AbortController();
  await using place = await claimPlace(lease, claim("first"), signal, unused);
  const before = await lease.read();

  // Several periods in which an election would renew.
  await Bun.sleep(1_500);

  expect(place?.problem()).toBeUndefined();
  expect(await lease.read()).toEqual(before);
});

test("M30: a holder that comes back too late sees that another one works", async () => {
  const lease = leaseObject(kube, "default", newName("claim"));
  const { signal } = new AbortController();
  const first = await claimPlace(lease, claim("first"), signal, unused);

  // It knows that the first one is gone, which it is not.
  await using _second = await claimPlace(lease, claim("second", "gone"), signal, unused);

  expect(await first?.lost).toBe('"second" has taken over');
  await first?.[Symbol.asyncDispose]();
  expect(await lease.read()).toMatchObject({ holder: "second" });
});

test("M30: an agent that may not use leases works all the same", async () => {
  const limited = await openKubeconfig(join(cluster.directory, "kubeconfig-limited"));
  const { signal } = new AbortController();

  const place = await claimPlace(
    leaseObject(limited, "default", newName("claim")),
    claim("first"),
    signal,
    unused,
  );

  expect(place?.problem()).toBeUndefined();
});

test("I9: a holder whose watches end at once looks at its lease now and then, and answers all the same", async () => {
  let reads = 0;
  const brief = {
    ...kube,
    get: (ref: ObjectRef) => {
      reads++;
      return kube.get(ref);
    },
    async *watch() {},
  };
  const name = newName("lease");
  const { signal } = new AbortController();
  const answerMs = 900;
  const first = { ...claim("first"), answerMs };
  await using _place = await claimPlace(leaseObject(brief, "default", name), first, signal, unused);
  // Long enough for hundreds without a pause.
  await Bun.sleep(1_500);
  expect(reads).toBeLessThan(20);
  const stop = new AbortController();
  const holders: string[] = [];

  const second = claimPlace(
    leaseObject(kube, "default", name),
    { ...claim("second"), answerMs: 5_000 },
    stop.signal,
    (holder) => holders.push(holder),
  );
  await eventually(() => holders.length > 0);

  stop.abort();
  expect(await second).toBeUndefined();
  expect(holders[0]).toBe("first");
});

/** Watches on a real API server. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kube, ObjectRef, WatchEvent, WatchOptions } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { configMap, metadata, newName, openKubeconfig, refOf, refusal, WRITER } from "./objects.ts";

let kubernetes: Kubernetes;
let kube: Kube;

beforeAll(async () => {
  // Without a cache for secrets their watches see at once what etcd has forgotten.
  kubernetes = await startKubernetes({
    flags: ["--etcd-compaction-interval", "500ms", "--watch-cache-sizes", "secrets#0"],
  });
  kube = await openKubeconfig(kubernetes.kubeconfig);
}, 60_000);

afterAll(() => kubernetes[Symbol.asyncDispose](), 20_000);

/** Collects the events of one object from now on; the promise ends as the watch does. */
async function collect(ref: ObjectRef, options: Partial<WatchOptions> = {}, door = kube) {
  const { resourceVersion } = await kube.list(ref.type, "default");
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  const watch = door.watch(ref.type, "default", {
    resourceVersion,
    signal: stop.signal,
    fieldSelector: `metadata.name=${ref.name}`,
    ...options,
  });
  const ended = (async () => {
    for await (const event of watch) if (event.type !== "BOOKMARK") events.push(event);
  })();
  // Looked at later; until then it must not count as unhandled.
  ended.catch(() => {});
  return { events, stop, ended };
}

test("a watch tells of an object that comes, changes and goes, and ends when it is aborted", async () => {
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { events, stop, ended } = await collect(ref);

  const { uid = "" } = metadata(await kube.create(ref, configMap(ref), WRITER));
  await kube.patch(ref, { data: { a: "2" } }, { ...WRITER, type: "merge" });
  await kube.delete(ref, { uid, propagationPolicy: "Background" });

  await eventually(() => events.length, (length) => length === 3);
  expect(events.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
  expect(events[1]?.object).toMatchObject({ kind: "ConfigMap", data: { a: "2" } });
  stop.abort();
  expect(await ended).toBeUndefined();
});

test("a metadata-only watch carries no content", async () => {
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { events, stop, ended } = await collect(ref, { metadataOnly: true });

  await kube.create(ref, configMap(ref), WRITER);

  await eventually(() => events.length);
  expect(events[0]?.object).toMatchObject({
    kind: "PartialObjectMetadata",
    metadata: { name: ref.name },
  });
  expect(events[0]?.object["data"]).toBeUndefined();
  stop.abort();
  await ended;
});

test("a large object arrives in one piece", async () => {
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { events, stop, ended } = await collect(ref);
  const text = "é".repeat(400_000);

  await kube.create(ref, configMap(ref, { text }), WRITER);

  await eventually(() => events.length);
  expect(events[0]?.object["data"]).toEqual({ text });
  stop.abort();
  await ended;
});

test("a watch from a version that the server has forgotten is refused with 410", async () => {
  const ref = await refOf(kube, "v1", "Secret");
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: ref.name } };
  const { resourceVersion = "" } = metadata(await kube.create(ref, secret, WRITER));
  const merge = { ...WRITER, type: "merge" } as const;

  // Etcd forgets only what is older than something else.
  const error = await eventually(async () => {
    await kube.patch(ref, { metadata: { labels: { now: String(Date.now()) } } }, merge);
    const signal = AbortSignal.timeout(200);
    const watch = kube.watch(ref.type, "default", { resourceVersion, signal });
    return await refusal(Array.fromAsync(watch));
  });

  expect([error.status, error.reason]).toEqual([410, "Expired"]);
});

test("a watch of a type that is not served is refused", async () => {
  const { type } = await refOf(kube, "v1", "ConfigMap");
  const watch = kube.watch({ ...type, resource: "nothings" }, "default", {
    resourceVersion: "1",
    signal: AbortSignal.timeout(5000),
  });

  expect((await refusal(Array.fromAsync(watch))).reason).toBe("PathNotFound");
});

test("a watch ends when its time is over", async () => {
  const brief = await openKubeconfig(kubernetes.kubeconfig, { watchSeconds: 1 });
  const ref = await refOf(kube, "v1", "ConfigMap");

  const { ended } = await collect(ref, {}, brief);

  expect(await ended).toBeUndefined();
});

test("a watch on a connection that died silently is given up", async () => {
  await using proxy = await startTcpProxy(Number(new URL(kubernetes.url).port));
  const folder = await mkdtemp(join(tmpdir(), "maestro-test-"));
  const path = join(folder, "kubeconfig");
  const text = await Bun.file(kubernetes.kubeconfig).text();
  await Bun.write(path, text.replace(kubernetes.url, `https://127.0.0.1:${proxy.port}`));
  const door = await openKubeconfig(path, { watchSeconds: 1, watchGraceMs: 500 });
  await rm(folder, { recursive: true });
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { events, ended } = await collect(ref, {}, door);
  await kube.create(ref, configMap(ref), WRITER);
  await eventually(() => events.length);

  proxy.freeze();

  const error = await refusal(ended);
  expect([error.status, error.reason]).toEqual([0, "Timeout"]);
});

test("a reader that stops in the middle leaves no watch open", async () => {
  const ref = await refOf(kube, "v1", "ConfigMap");
  const { resourceVersion } = await kube.list(ref.type, "default");
  await kube.create(ref, configMap(ref), WRITER);
  const stop = new AbortController();
  // The server counts the watches of a type; nobody else here watches leases.
  const lease = await refOf(kube, "coordination.k8s.io/v1", "Lease", newName());
  const openWatches = async () => await countWatches(kubernetes, "leases");
  const before = await openWatches();
  await kube.create(lease, {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: lease.name },
  }, WRITER);

  for await (
    const event of kube.watch(lease.type, "default", { resourceVersion, signal: stop.signal })
  ) {
    expect(event.type).toBe("ADDED");
    expect(await openWatches()).toBe(before + 1);
    break;
  }

  await eventually(openWatches, (count) => count === before);
});

/** How many watches of a resource the API server has under way, by its own metrics. */
async function countWatches({ url, directory }: Kubernetes, resource: string): Promise<number> {
  const [ca, token] = await Promise.all(
    ["ca.crt", "admin.token"].map((name) => Bun.file(join(directory, name)).text()),
  );
  const response = await fetch(`${url}/metrics`, {
    headers: { authorization: `Bearer ${token?.trim()}` },
    tls: { ca },
  });
  const lines = (await response.text()).split("\n").filter((line) =>
    line.startsWith("apiserver_longrunning_requests{") &&
    line.includes(`resource="${resource}"`) && line.includes('verb="WATCH"')
  );
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** What the agent watches on a real API server, and that it misses nothing. */

import { afterAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "../../src/lib/log.ts";
import type { Kube, ObjectRef, ResourceType } from "../../src/lib/work/kube_api.ts";
import type { Interest } from "../../src/lib/work/wants.ts";
import type { Sighting } from "../../src/lib/work/watch_stream.ts";
import { startWatches, type Watches, type WatchesOptions } from "../../src/lib/work/watches.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { configMap } from "./one_agent.ts";

const cluster = await startKubernetes({ flags: ["--etcd-compaction-interval", "1s"] });
const kube = await openKubeconfig(cluster.kubeconfig);
const configMaps = (await refOf(kube, "v1", "ConfigMap")).type;

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const log = createLogger({ level: "error", isTerminal: false, write: () => {} });

interface Observer extends AsyncDisposable {
  watches: Watches;
  /** What was seen last of each name. */
  last: Map<string, Sighting>;
  /** The streams that are open now: where, and whether whole. */
  streams: Set<string>;
  /** The objects that have come through streams, wanted or not. */
  carried: string[];
  /** Names that were read by themselves. */
  reads: string[];
}

function observe(given: Kube, options: Partial<WatchesOptions> = {}): Observer {
  const last = new Map<string, Sighting>();
  const streams = new Set<string>();
  const carried: string[] = [];
  const reads: string[] = [];
  const counted: Kube = {
    ...given,
    get(ref) {
      reads.push(ref.name);
      return given.get(ref);
    },
    async *watch(type, namespace, watchOptions) {
      const { fieldSelector = "*", metadataOnly } = watchOptions;
      const kind = metadataOnly ? "metadata" : "whole";
      const stream = `${namespace || "*"} ${fieldSelector} ${kind} ${crypto.randomUUID()}`;
      streams.add(stream);
      try {
        for await (const event of given.watch(type, namespace, watchOptions)) {
          if (event.type !== "BOOKMARK") carried.push(String(metadataOf(event.object)["name"]));
          yield event;
        }
      } finally {
        streams.delete(stream);
      }
    },
  };
  const watches = startWatches(counted, (_, ref, sighting) => {
    last.set(`${ref.namespace}/${ref.name}`, sighting);
    // As the reconciler does for objects that rules read.
    if (sighting.isPartial && ref.name.startsWith("whole")) watches.read(ref);
  }, { pollMs: 50, log, ...options });
  return {
    watches,
    last,
    streams,
    carried,
    reads,
    [Symbol.asyncDispose]: () => watches[Symbol.asyncDispose](),
  };
}

async function newNamespace(): Promise<string> {
  const ref = await refOf(kube, "v1", "Namespace");
  await kube.create(ref, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: ref.name },
  }, WRITER);
  return ref.name;
}

function interestIn(namespace: string, name: string, type: ResourceType = configMaps): Interest {
  return { ref: { type, namespace, name }, isWhole: name.startsWith("whole") };
}

async function put(ref: ObjectRef, value: string): Promise<void> {
  const manifest = configMap(ref.name, { a: value }, ref.namespace);
  await kube.patch(ref, manifest, { type: "apply", fieldManager: "tests", force: true });
}

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

const versionOf = async (ref: ObjectRef) =>
  String(metadataOf(await kube.get(ref))["resourceVersion"]);

test("objects that nobody wants do not pass through the agent while few names are wanted", async () => {
  const namespace = await newNamespace();
  for (const name of names("foreign", 5)) await put(interestIn(namespace, name).ref, "1");
  await using observer = observe(kube);
  const wanted = interestIn(namespace, "mine");

  observer.watches.want("work", [wanted]);

  const key = `${namespace}/mine`;
  await eventually(() => observer.last.get(key)?.object === undefined && observer.last.has(key));
  await put(wanted.ref, "1");
  await eventually(() => observer.last.get(key)?.object);
  await put(interestIn(namespace, "foreign0").ref, "2");
  await put(wanted.ref, "2");
  const version = await versionOf(wanted.ref);
  await eventually(() => observer.last.get(key)?.resourceVersion === version);
  expect(new Set(observer.carried)).toEqual(new Set(["mine"]));
});

test("no change is missed while streams become wide and narrow again under it", async () => {
  const namespace = await newNamespace();
  await using observer = observe(kube, { limits: { streamsMax: 40, namesMax: 4 } });
  const all = names("n", 12).map((name) => interestIn(namespace, name));
  let stopped = false;
  const writing = (async () => {
    for (let round = 0; !stopped; round++) {
      for (const { ref } of all) await put(ref, String(round));
    }
  })();

  for (let round = 0; round < 6; round++) {
    observer.watches.want("work", all.slice(0, round % 2 === 0 ? 2 : 12));
    const isWide = (stream: string) => stream.startsWith(`${namespace} * `);
    const open = () => [...observer.streams];
    await eventually(
      open,
      (streams) =>
        round % 2 === 0
          ? streams.length === 2 && !streams.some(isWide)
          : streams.length === 1 && streams.every(isWide),
    );
  }

  stopped = true;
  await writing;
  for (const { ref } of all) {
    const version = await versionOf(ref);
    await eventually(
      () => observer.last.get(`${namespace}/${ref.name}`)?.resourceVersion,
      (seen) => seen === version,
    );
  }
});

test("many namespaces do not take many connections", async () => {
  const spaces = await Promise.all(names("", 12).map(newNamespace));
  await using observer = observe(kube, { limits: { streamsMax: 6, namesMax: 4 } });
  const all = spaces.map((namespace) => interestIn(namespace, "one"));

  observer.watches.want("work", all);

  await eventually(
    () => [...observer.streams],
    (streams) => streams.length === 1 && streams[0]?.startsWith("* * metadata") === true,
  );
  await put(all[7]?.ref as ObjectRef, "1");
  await eventually(() => observer.last.get(`${spaces[7]}/one`)?.object);
  observer.watches.want("work", all.slice(0, 2));
  await eventually(
    () => [...observer.streams],
    (streams) =>
      streams.length === 2 && streams.every((stream) => stream.includes("metadata.name=one")),
  );
});

test("of many objects that rules read, each is read by itself, at most once a second", async () => {
  const namespace = await newNamespace();
  for (const name of names("foreign", 40)) await put(interestIn(namespace, name).ref, "1");
  await using observer = observe(kube, { limits: { streamsMax: 40, namesMax: 2 } });
  const all = names("whole", 3).map((name) => interestIn(namespace, name));
  for (const { ref } of all) await put(ref, "1");

  observer.watches.want("work", all);

  const first = all[0]?.ref as ObjectRef;
  await eventually(() => observer.last.get(`${namespace}/whole0`)?.object?.["data"]);
  for (const value of names("v", 30)) await put(first, value);
  await eventually(
    () => observer.last.get(`${namespace}/whole0`)?.object?.["data"],
    (object) => Bun.deepEquals(object, { a: "v29" }),
  );
  expect([...observer.streams]).toEqual([expect.stringContaining(`${namespace} * metadata`)]);
  expect(observer.reads.filter((name) => name === "whole0").length).toBeLessThan(10);
  expect(observer.reads.filter((name) => name.startsWith("foreign"))).toEqual([]);
});

test("an owner that wants nothing any more leaves no stream, and one that others share stays", async () => {
  const namespace = await newNamespace();
  await using observer = observe(kube);
  const shared = interestIn(namespace, "shared");
  observer.watches.want("a", [shared, interestIn(namespace, "own")]);
  observer.watches.want("b", [shared]);
  await eventually(() => observer.streams.size === 2);

  observer.watches.want("a", []);

  await eventually(() => observer.streams.size === 1);
  await put(shared.ref, "1");
  await eventually(() => observer.last.get(`${namespace}/shared`)?.object);
  observer.watches.want("b", []);
  await eventually(() => observer.streams.size === 0);
});

test("who may watch some names only watches these", async () => {
  const namespace = await newNamespace();
  await permit(namespace, "some", [{
    apiGroups: [""],
    resources: ["configmaps"],
    resourceNames: names("n", 3),
    verbs: ["get", "list", "watch"],
  }]);
  const limited = await openKubeconfig(join(cluster.directory, "kubeconfig-limited"));
  await using observer = observe(limited, { limits: { streamsMax: 40, namesMax: 2 } });
  const all = names("n", 3).map((name) => interestIn(namespace, name));

  observer.watches.want("work", all);

  await eventually(
    () => [...observer.streams],
    (streams) =>
      streams.length === 3 && streams.every((stream) => stream.includes("metadata.name=")),
  );
  await put(all[1]?.ref as ObjectRef, "1");
  await eventually(() => observer.last.get(`${namespace}/n1`)?.object);
});

test("who may not watch at all polls", async () => {
  const namespace = await newNamespace();
  await permit(namespace, "get", [{
    apiGroups: [""],
    resources: ["configmaps"],
    verbs: ["get"],
  }]);
  const limited = await openKubeconfig(join(cluster.directory, "kubeconfig-limited"));
  await using observer = observe(limited, { limits: { streamsMax: 40, namesMax: 2 } });
  const all = names("n", 3).map((name) => interestIn(namespace, name));
  observer.watches.want("work", all);

  await put(all[1]?.ref as ObjectRef, "1");

  await eventually(() => observer.last.get(`${namespace}/n1`)?.object);
});

test("M24: a connection that died without a word is noticed, and nothing that happened meanwhile is missed", async () => {
  const namespace = await newNamespace();
  await using proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  const text = await readFile(cluster.kubeconfig, "utf8");
  const path = join(cluster.directory, "kubeconfig-proxy");
  await Bun.write(path, text.replace(cluster.url, `https://127.0.0.1:${proxy.port}`));
  await using observer = observe(await openKubeconfig(path), { silenceMsMax: 300 });
  const wanted = interestIn(namespace, "one");
  observer.watches.want("work", [wanted]);
  await eventually(() => observer.last.has(`${namespace}/one`));

  const before = [...observer.streams];

  proxy.freeze();
  await put(wanted.ref, "1");
  await eventually(() => [...observer.streams], (now) => now.length > 0 && now[0] !== before[0]);
  proxy.heal();

  await eventually(() => observer.last.get(`${namespace}/one`)?.object);
});

async function permit(namespace: string, name: string, rules: object[]): Promise<void> {
  const api = "rbac.authorization.k8s.io/v1";
  const place = { namespace, name };
  for (
    const object of [
      { apiVersion: api, kind: "Role", metadata: place, rules },
      {
        apiVersion: api,
        kind: "RoleBinding",
        metadata: place,
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "limited" }],
      },
    ]
  ) {
    const ref = await refOf(kube, api, object.kind, name);
    await kube.create({ ...ref, namespace }, object, WRITER);
  }
}

test("who has to be told how an object is now is told, though its stream has begun long before", async () => {
  const namespace = await newNamespace();
  await using observer = observe(kube, { limits: { streamsMax: 40, namesMax: 2 } });
  const all = names("n", 6).map((name) => interestIn(namespace, name));
  for (const { ref } of all) await put(ref, "1");
  observer.watches.want("first", all.slice(0, 3));
  await eventually(() => observer.last.size === 3);

  const late = all.slice(3).map((interest) => ({ ...interest, isSought: true }));
  observer.watches.want("second", late);

  await eventually(() =>
    late.every(({ ref }) => observer.last.get(`${namespace}/${ref.name}`)?.object !== undefined)
  );
  expect(observer.reads).toEqual([]);
});

/** An API server in trouble: everything comes to be in the end, nothing twice, and nothing goes that is wanted. */

import { afterAll, expect, test } from "bun:test";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientOptions } from "../../src/lib/kube/client.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf, textOf } from "../../src/lib/work/work.ts";
import { rollDice } from "../faults/dice.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { type KubeProxy, startKubeProxy } from "../harness/kube_proxy.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { type AgentUnderTest, conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes({ controllers: true });
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

/** An agent of its own behind a proxy of its own. */
async function startBehind(proxy: KubeProxy, options: ClientOptions = {}): Promise<AgentUnderTest> {
  const path = join(cluster.directory, `kubeconfig-${crypto.randomUUID()}`);
  const text = readFileSync(cluster.kubeconfig, "utf8").replace(cluster.url, proxy.url);
  writeFileSync(path, text);
  return await startAgent(await openKubeconfig(path, options), { hub: crypto.randomUUID() });
}

async function newNamespace(): Promise<string> {
  const ref = await refOf(kube, "v1", "Namespace");
  const metadata = { name: ref.name, labels: { name: ref.name } };
  await kube.create(ref, { apiVersion: "v1", kind: "Namespace", metadata }, WRITER);
  return ref.name;
}

async function configMapIn(namespace: string, name: string): Promise<ObjectRef> {
  return { ...await refOf(kube, "v1", "ConfigMap", name), namespace };
}

/** The data of the ConfigMaps of a namespace by name, but what Kubernetes puts into each. */
async function contents(namespace: string): Promise<Record<string, unknown>> {
  const { type } = await configMapIn(namespace, "x");
  const { items } = await kube.list(type, namespace);
  const named = items.map((item) => [textOf(metadataOf(item), "name"), item["data"]] as const);
  return Object.fromEntries(named.filter(([name]) => name !== "kube-root-ca.crt").sort());
}

const uidOf = async (ref: ObjectRef) => textOf(metadataOf(await kube.get(ref)), "uid");

test(
  "with trouble on three of ten calls everything comes to be once, and nothing goes that is wanted",
  async () => {
    const namespace = await newNamespace();
    await using proxy = startKubeProxy(cluster.url);
    await using agent = await startBehind(proxy, { timeoutMs: 400 });
    const dice = rollDice(7);
    proxy.decide = ({ isWatch }) => {
      if (!dice.happens(0.3)) return undefined;
      return dice.pick([
        { status: 429, reason: "TooManyRequests", retryAfterSeconds: 0 },
        { status: 500, reason: "InternalError" },
        { status: 503, reason: "ServiceUnavailable" },
        "hang",
        isWatch ? "hang" : "lose",
      ]);
    };
    const gone: string[] = [];
    const watching = new AbortController();
    const { type } = await configMapIn(namespace, "x");
    const watched = (async () => {
      for await (const event of kube.watch(type, namespace, { signal: watching.signal })) {
        if (event.type === "DELETED") gone.push(textOf(metadataOf(event.object), "name"));
      }
    })();
    const works = Array.from({ length: 12 }, () => crypto.randomUUID());
    const manifest = (n: number, part: string, value: string) =>
      configMap(`${part}-${n}`, { value }, namespace);

    await Promise.all(
      works.map((uid, n) =>
        agent.send(uid, 1, { manifests: ["a", "b"].map((part) => manifest(n, part, "1")) })
      ),
    );
    const wait = { timeoutMs: 60_000 };
    await eventually(
      async () => Object.keys(await contents(namespace)).length,
      (n) => n === 24,
      wait,
    );
    await Promise.all(works.map(async (uid, n) => {
      if (n % 3 === 0) await agent.delete(uid, 1);
      else {await agent.send(uid, 2, {
          manifests: ["b", "c"].map((part) => manifest(n, part, "2")),
        });}
    }));

    const wanted = Object.fromEntries(
      works.flatMap((_, n) =>
        n % 3 === 0 ? [] : [[`b-${n}`, { value: "2" }], [`c-${n}`, { value: "2" }]]
      )
        .sort() as [string, object][],
    );
    await eventually(() => contents(namespace), (found) => Bun.deepEquals(found, wanted), wait);
    for (const [n, uid] of works.entries()) {
      await eventually(
        () => agent.reports.findLast((report) => report.uid === uid),
        (report) => report !== undefined && isTrue(report, n % 3 === 0 ? "Deleted" : "Available"),
        wait,
      );
    }
    watching.abort();
    await watched;
    const unwanted = works.flatMap((_, n) => n % 3 === 0 ? [`a-${n}`, `b-${n}`] : [`a-${n}`])
      .sort();
    expect(gone.sort()).toEqual(unwanted);
  },
  150_000,
);

test(
  "an API server that is killed and comes back finds everything as the server wants it now",
  async () => {
    const namespace = await newNamespace();
    await using agent = await startAgent(await openKubeconfig(cluster.kubeconfig), {
      hub: "restart",
    });
    const [kept, changed, removed] = [
      crypto.randomUUID(),
      crypto.randomUUID(),
      crypto.randomUUID(),
    ];
    for (const uid of [kept, changed, removed]) {
      await agent.send(uid, 1, { manifests: [configMap(uid, { a: "1" }, namespace)] });
      await agent.until(uid, (report) => isTrue(report, "Available", 1));
    }
    const before = await uidOf(await configMapIn(namespace, kept));

    const start = await killApiServer();
    await agent.send(changed, 2, { manifests: [configMap(changed, { a: "2" }, namespace)] });
    await agent.delete(removed, 1);
    await start();

    await agent.until(changed, (report) => isTrue(report, "Available", 2));
    await agent.until(removed, (report) => isTrue(report, "Deleted"));
    expect(await contents(namespace)).toEqual(
      Object.fromEntries(Object.entries({ [kept]: { a: "1" }, [changed]: { a: "2" } }).sort()),
    );
    const ref = await configMapIn(namespace, kept);
    expect(await uidOf(ref)).toBe(before);
    // The watches are back as well.
    await kube.patch(ref, { data: { a: "theirs" } }, { ...WRITER, type: "merge" });
    await eventually(
      async () => (await kube.get(ref))?.["data"],
      (data) => Bun.deepEquals(data, { a: "1" }),
      { timeoutMs: 30_000 },
    );
  },
  120_000,
);

/** Kills the API server, and returns what starts it again with the same data. */
async function killApiServer(): Promise<() => Promise<void>> {
  const pidFile = join(cluster.directory, "kube-apiserver.pid");
  const pid = Number(readFileSync(pidFile, "utf8"));
  const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  const cwd = readlinkSync(`/proc/${pid}/cwd`);
  process.kill(pid, "SIGKILL");
  await eventually(() => isDead(pid));
  return async () => {
    const child = Bun.spawn(["setpriv", "--pdeathsig", "KILL", ...command], {
      cwd,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    // Whoever ends the cluster ends this one, too.
    writeFileSync(pidFile, `${child.pid}\n`);
    const { type } = await refOf(kube, "v1", "ConfigMap");
    await eventually(() => kube.list(type, "default"), () => true, { timeoutMs: 30_000 });
  };
}

function isDead(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

test(
  "what a webhook rejects is told in its words, and applied once it is let through",
  async () => {
    const namespace = await newNamespace();
    const certificate = await makeCertificate(cluster.directory, "IP:127.0.0.1");
    let isStrict = true;
    const hook = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert: certificate.texts.cert, key: certificate.texts.key },
      async fetch(request) {
        const review = await request.json() as { request: { uid: string; name: string } };
        const allowed = !isStrict || !review.request.name.startsWith("bad");
        const response = {
          uid: review.request.uid,
          allowed,
          status: { message: "bad names are not welcome" },
        };
        return Response.json({
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response,
        });
      },
    });
    const api = "admissionregistration.k8s.io/v1";
    const ref = await refOf(kube, api, "ValidatingWebhookConfiguration");
    await kube.create(ref, {
      apiVersion: api,
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: ref.name },
      webhooks: [{
        name: "names.tests.example.com",
        clientConfig: {
          url: `https://127.0.0.1:${hook.port}/`,
          caBundle: Buffer.from(certificate.texts.ca).toString("base64"),
        },
        rules: [{
          apiGroups: [""],
          apiVersions: ["v1"],
          resources: ["configmaps"],
          operations: ["CREATE", "UPDATE"],
        }],
        namespaceSelector: { matchLabels: { name: namespace } },
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        timeoutSeconds: 5,
      }],
    }, WRITER);
    // The API server learns of webhooks a moment later.
    const probe = { ...await configMapIn(namespace, "bad-probe") };
    await eventually(async () => {
      const made = await kube.create(probe, configMap(probe.name, {}, namespace), WRITER)
        .catch((error: Error) => error.message);
      if (typeof made !== "string") await removeObject(probe);
      return String(made);
    }, (text) => text.includes("not welcome"));
    await using agent = await startAgent(kube, { hub: "webhook" });
    const uid = crypto.randomUUID();

    await agent.send(uid, 1, {
      manifests: ["bad", "good"].map((name) => configMap(name, { a: "1" }, namespace)),
    });

    const refused = await agent.until(uid, () => true);
    expect(conditionOf(refused, "Applied", 0)).toMatchObject({
      status: "False",
      reason: "AppliedManifestFailed",
      message: 'Failed to apply manifest: admission webhook "names.tests.example.com" denied the ' +
        "request: bad names are not welcome",
    });
    expect(conditionOf(refused, "Applied", 1)?.status).toBe("True");
    isStrict = false;
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    expect(Object.keys(await contents(namespace))).toEqual(["bad", "good"]);
    await removeObject(ref);
    await hook.stop(true);
  },
  60_000,
);

async function removeObject(ref: ObjectRef): Promise<void> {
  await kube.delete(ref, { uid: await uidOf(ref), propagationPolicy: "Background" });
}

test("a token that is revoked is replaced by the one that is in its file by then", async () => {
  const namespace = await newNamespace();
  const token = await startTokens(namespace);
  const file = join(cluster.directory, `token-${namespace}`);
  const first = await token.issue();
  writeFileSync(file, first.text);
  const path = join(cluster.directory, `kubeconfig-${namespace}`);
  const text = readFileSync(cluster.kubeconfig, "utf8");
  writeFileSync(path, text.replace(/token: .*/, `tokenFile: ${file}`));
  await using agent = await startAgent(await openKubeconfig(path), { hub: namespace });
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap("one", { a: "1" }, namespace)] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await first.revoke();
  await agent.send(uid, 2, { manifests: [configMap("one", { a: "2" }, namespace)] });
  writeFileSync(file, (await token.issue()).text);

  await agent.until(uid, (report) => isTrue(report, "Available", 2));
  expect(await contents(namespace)).toEqual({ one: { a: "2" } });
}, 60_000);

/** Issues tokens of an almighty service account, each of which can be revoked. */
async function startTokens(namespace: string) {
  const place = { namespace, name: "agent" };
  const rbac = "rbac.authorization.k8s.io/v1";
  const account = { ...await refOf(kube, "v1", "ServiceAccount", "agent"), namespace };
  await kube.create(account, { apiVersion: "v1", kind: "ServiceAccount", metadata: place }, WRITER);
  const binding = await refOf(kube, rbac, "ClusterRoleBinding", `agent-${namespace}`);
  await kube.create(binding, {
    apiVersion: rbac,
    kind: "ClusterRoleBinding",
    metadata: { name: binding.name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", ...place }],
  }, WRITER);
  return {
    async issue() {
      const ref = { ...await refOf(kube, "v1", "Secret"), namespace };
      const secret = await kube.create(ref, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: ref.name },
      }, WRITER);
      const uid = textOf(metadataOf(secret), "uid");
      const tokens = { ...account.type, resource: `serviceaccounts/agent/token` };
      const answer = await kube.create({ ...account, type: tokens }, {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {
          expirationSeconds: 600,
          boundObjectRef: { kind: "Secret", apiVersion: "v1", name: ref.name, uid },
        },
      }, WRITER);
      const text = String((answer["status"] as JsonObject)["token"]);
      return { text, revoke: () => removeObject(ref) };
    },
  };
}

test("a server that gets another authority is trusted as soon as that is in its file", async () => {
  const namespace = await newNamespace();
  const [one, other] = await Promise.all(
    [1, 2].map(() => makeCertificate(cluster.directory, "IP:127.0.0.1")),
  ) as [Awaited<ReturnType<typeof makeCertificate>>, Awaited<ReturnType<typeof makeCertificate>>];
  const file = join(cluster.directory, `ca-${namespace}`);
  writeFileSync(file, one.texts.ca);
  const first = startKubeProxy(cluster.url, { tls: one.texts });
  const path = join(cluster.directory, `kubeconfig-${namespace}`);
  const text = readFileSync(cluster.kubeconfig, "utf8").replace(cluster.url, first.url);
  writeFileSync(
    path,
    text.replace(/certificate-authority-data: .*/, `certificate-authority: ${file}`),
  );
  await using agent = await startAgent(await openKubeconfig(path), { hub: namespace });
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap("one", { a: "1" }, namespace)] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await first[Symbol.asyncDispose]();
  await using second = startKubeProxy(cluster.url, { tls: other.texts, port: first.port });
  await agent.send(uid, 2, { manifests: [configMap("one", { a: "2" }, namespace)] });
  writeFileSync(file, other.texts.ca);

  await agent.until(uid, (report) => isTrue(report, "Available", 2));
  expect(second.calls.length).toBeGreaterThan(0);
}, 60_000);

test(
  "a namespace that terminates is waited for, and so is the one that comes after it",
  async () => {
    const namespace = await newNamespace();
    const blocker = await configMapIn(namespace, "blocker");
    const blocked = configMap("blocker", {}, namespace);
    await kube.create(blocker, {
      ...blocked,
      metadata: { ...blocked.metadata, finalizers: ["tests.example.com/hold"] },
    }, WRITER);
    await removeObject(await refOf(kube, "v1", "Namespace", namespace));
    await using agent = await startAgent(kube, { hub: "terminating" });
    const uid = crypto.randomUUID();

    await agent.send(uid, 1, { manifests: [configMap("one", { a: "1" }, namespace)] });

    const refused = await agent.until(uid, () => true);
    expect(conditionOf(refused, "Applied", 0)?.message).toContain("because it is being terminated");
    await kube.patch(blocker, { metadata: { finalizers: [] } }, { ...WRITER, type: "merge" });
    const ref = await refOf(kube, "v1", "Namespace", namespace);
    await eventually(async () => await kube.get(ref) === undefined, Boolean, { timeoutMs: 30_000 });
    await kube.create(ref, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    }, WRITER);
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
    expect(await contents(namespace)).toEqual({ one: { a: "1" } });
  },
  90_000,
);

test(
  "a watch that is told that its place is forgotten begins anew, and heals what it has missed",
  async () => {
    const namespace = await newNamespace();
    await using proxy = startKubeProxy(cluster.url);
    await using agent = await startBehind(proxy);
    const uid = crypto.randomUUID();
    const names = ["one", "two", "three"];
    await agent.send(uid, 1, {
      manifests: names.map((name) => configMap(name, { a: "1" }, namespace)),
    });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
    const isContinued = ({ path, isWatch }: { path: string; isWatch: boolean }) =>
      isWatch && path.includes(namespace) && path.includes("resourceVersion=");
    await eventually(() =>
      proxy.calls.filter(({ isWatch, path }) => isWatch && path.includes(namespace)).length >=
        names.length
    );

    let isMissing = true;
    proxy.decide = (call) =>
      isMissing && call.isWatch
        ? { status: 503, reason: "ServiceUnavailable" }
        : isContinued(call)
        ? { status: 410, reason: "Expired" }
        : undefined;
    proxy.endWatches();
    await kube.patch(await configMapIn(namespace, "one"), { data: { a: "theirs" } }, {
      ...WRITER,
      type: "merge",
    });
    await removeObject(await configMapIn(namespace, "two"));
    isMissing = false;

    const wanted = { one: { a: "1" }, three: { a: "1" }, two: { a: "1" } };
    await eventually(() => contents(namespace), (found) => Bun.deepEquals(found, wanted), {
      timeoutMs: 30_000,
    });
    expect(proxy.calls.some(({ fault }) => typeof fault === "object" && fault.status === 410))
      .toBeTrue();
  },
  60_000,
);

test("a bundle of 5,000 objects is applied, watched by one stream, healed and pruned", async () => {
  const namespace = await newNamespace();
  await using proxy = startKubeProxy(cluster.url);
  await using agent = await startBehind(proxy);
  const uid = crypto.randomUUID();
  const manifests = Array.from({ length: 5_000 }, (_, n) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: `c${n}`, namespace },
  }));
  const wait = { timeoutMs: 120_000 };

  await agent.send(uid, 1, { manifests });

  await eventually(
    () => agent.reports.findLast((report) => report.uid === uid),
    (report) => report !== undefined && isTrue(report, "Available", 1),
    wait,
  );
  const count = async () => Object.keys(await contents(namespace)).length;
  expect(await count()).toBe(5_000);
  const own = proxy.calls.filter(({ path, isWatch }) => isWatch && path.includes(namespace));
  expect(own.length).toBeLessThan(10);
  await removeObject(await configMapIn(namespace, "c4321"));
  await eventually(count, (found) => found === 5_000, { ...wait, intervalMs: 500 });
  await agent.send(uid, 2, { manifests: manifests.slice(0, 4_990) });
  await eventually(count, (found) => found === 4_990, { ...wait, intervalMs: 500 });
}, 300_000);

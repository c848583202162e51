/** An API server in trouble: everything comes to be in the end, nothing twice, and nothing goes that is wanted. */

import { afterAll, expect, test } from "bun:test";
import { metadataOf, textOf } from "../../src/lib/work/work.ts";
import { rollDice } from "../faults/dice.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubeProxy } from "../harness/kube_proxy.ts";
import { killApiServer } from "../harness/kube_restart.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";
import { onCluster, startBehind } from "./one_cluster.ts";

const cluster = await startKubernetes({ controllers: true });
const kube = await openKubeconfig(cluster.kubeconfig);
const { configMapIn, contents, newNamespace, removeObject, uidOf } = onCluster(kube);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

test(
  "with trouble on three of ten calls everything comes to be once, and nothing goes that is wanted",
  async () => {
    const namespace = await newNamespace();
    await using proxy = startKubeProxy(cluster.url);
    await using agent = await startBehind(cluster, proxy, { timeoutMs: 400 });
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

    const start = await killApiServer(cluster, kube);
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
    await hook.stop();
  },
  60_000,
);

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
    await using agent = await startBehind(cluster, proxy);
    const uid = crypto.randomUUID();
    const names = ["one", "two", "three"];
    await agent.send(uid, 1, {
      manifests: names.map((name) => configMap(name, { a: "1" }, namespace)),
    });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
    const isContinued = ({ path, isWatch }: { path: string; isWatch: boolean }) =>
      isWatch && path.includes(namespace) && path.includes("resourceVersion=");
    // Who heals has been told of all there is, and has a place to go on from.
    const three = await configMapIn(namespace, "three");
    await kube.patch(three, { data: { a: "theirs" } }, { ...WRITER, type: "merge" });
    await eventually(
      async () => (await kube.get(three))?.["data"],
      (data) => Bun.deepEquals(data, { a: "1" }),
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

test("no object is told to be gone because a gateway answers 404 to its watch", async () => {
  const namespace = await newNamespace();
  await using proxy = startKubeProxy(cluster.url);
  await using agent = await startBehind(cluster, proxy);
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap("one", { a: "1" }, namespace)] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  const watches = () =>
    proxy.calls.filter(({ isWatch, path }) => isWatch && path.includes(namespace)).length;
  await eventually(watches, (count) => count > 0);
  const before = agent.reports.length;
  const asked = watches();

  proxy.decide = ({ isWatch }) => isWatch ? { status: 404, reason: "" } : undefined;
  proxy.endWatches();
  await eventually(watches, (count) => count > asked + 2);
  proxy.decide = () => undefined;
  await kube.patch(await configMapIn(namespace, "one"), { data: { a: "theirs" } }, {
    ...WRITER,
    type: "merge",
  });

  await eventually(
    () => contents(namespace),
    (found) => Bun.deepEquals(found, { one: { a: "1" } }),
    { timeoutMs: 30_000 },
  );
  const told = agent.reports.slice(before).filter((report) => !isTrue(report, "Available"));
  expect(told).toEqual([]);
}, 60_000);

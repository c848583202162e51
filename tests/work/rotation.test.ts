/** Credentials and authorities that are replaced while the agent runs. */

import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../../src/lib/json.ts";
import { metadataOf, textOf } from "../../src/lib/work/work.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubeProxy } from "../harness/kube_proxy.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";
import { onCluster } from "./one_cluster.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const { contents, newNamespace, removeObject } = onCluster(kube);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

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
  const account = (await refOf(kube, "v1", "ServiceAccount")).type;
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap("one", { a: "1" }, namespace)] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await first.revoke();
  // The API server believes a token for some seconds more.
  const old = join(cluster.directory, `kubeconfig-old-${namespace}`);
  writeFileSync(old, text.replace(/token: .*/, `token: ${first.text}`));
  const stale = await openKubeconfig(old);
  const ask = async () =>
    await stale.list(account, namespace).then(() => 200, (error) => error.status);
  await eventually(ask, (status) => status === 401, { timeoutMs: 30_000 });
  await agent.send(uid, 2, { manifests: [configMap("one", { a: "2" }, namespace)] });
  await agent.until(uid, (report) => conditionOf(report, "Applied")?.status === "False");
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

  first.decide = () => ({ status: 503, reason: "ServiceUnavailable" });
  await first[Symbol.asyncDispose]();
  await using second = startKubeProxy(cluster.url, { tls: other.texts, port: first.port });
  await agent.send(uid, 2, { manifests: [configMap("one", { a: "2" }, namespace)] });
  writeFileSync(file, other.texts.ca);

  await agent.until(uid, (report) => isTrue(report, "Available", 2));
  expect(second.calls.length).toBeGreaterThan(0);
}, 60_000);

/** The test servers themselves: they do what their README says, and do not outlive their test. */

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isObject } from "../../src/lib/json.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { metadata, openKubeconfig, refOf, WRITER } from "./objects.ts";

/** The ids of the processes that work in a folder. */
function processesIn(folder: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((id) => {
    try {
      return readlinkSync(`/proc/${id}/cwd`) === folder;
    } catch {
      // It ended in the meantime, or is somebody else's.
      return false;
    }
  });
}

test("with pods a Deployment becomes available, and its end takes its pods along", async () => {
  await using kubernetes = await startKubernetes({
    pods: true,
    files: {
      "policy.json": JSON.stringify({
        apiVersion: "audit.k8s.io/v1",
        kind: "Policy",
        rules: [{ level: "Metadata" }],
      }),
    },
    flags: ["--audit-policy-file", "policy.json", "--audit-log-path", "audit.log"],
  });
  const kube = await openKubeconfig(kubernetes.kubeconfig);
  const ref = await refOf(kube, "apps/v1", "Deployment");
  const labels = { app: ref.name };
  const created = await kube.create(ref, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: ref.name },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "a", image: "a" }] } },
    },
  }, WRITER);

  await eventually(
    async () => {
      const status = (await kube.get(ref))?.["status"];
      return isObject(status) && status["availableReplicas"] === 1;
    },
    Boolean,
    { timeoutMs: 30_000 },
  );

  const { uid = "" } = metadata(created);
  await kube.delete(ref, { uid, propagationPolicy: "Background" });
  const pod = await refOf(kube, "v1", "Pod");
  const pods = async () => (await kube.list(pod.type, "default", { metadataOnly: true })).items;
  await eventually(pods, (items) => items.length === 0, { timeoutMs: 30_000 });

  const audit = await Bun.file(join(kubernetes.directory, "audit.log")).text();
  expect(audit).toContain(`/apis/apps/v1/namespaces/default/deployments/${ref.name}`);
}, 90_000);

test("servers end with the test that started them, even if it is killed", async () => {
  const program = `
    import { startKubernetes } from ${
    JSON.stringify(`${import.meta.dir}/../harness/kubernetes.ts`)
  };
    const { directory } = await startKubernetes();
    console.log(directory);
    setInterval(() => {}, 1000);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const directory = new TextDecoder().decode(value).trim();
  expect(processesIn(directory).length).toBeGreaterThanOrEqual(2);

  child.kill("SIGKILL");
  await child.exited;

  await eventually(() => processesIn(directory), (ids) => ids.length === 0);
  rmSync(directory, { recursive: true });
}, 60_000);

test("a disposed cluster leaves neither processes nor files", async () => {
  const kubernetes = await startKubernetes();
  const { directory } = kubernetes;

  await kubernetes[Symbol.asyncDispose]();

  expect(processesIn(directory)).toEqual([]);
  expect(existsSync(directory)).toBeFalse();
}, 60_000);

/** The files of deploy/agent on a real API server, and an agent with no more than the rights in them. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { parseAgentConfig } from "../../src/lib/agent_config.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { installLedgerType } from "../../src/lib/work/crd.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { freePort } from "../../tools/ports.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { startAgent as startProcess } from "../harness/programs.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import {
  type AgentUnderTest,
  conditionOf,
  configMap,
  isTrue,
  startAgent,
} from "../work/one_agent.ts";

const TIMEOUT_MS = 120_000;
const REPOSITORY = join(import.meta.dir, "..", "..");
const FILES = ["10-namespace", "20-definition", "30-account", "50-broker", "60-agent"];
const NARROW = [...FILES, "40-narrow"].toSorted();

const parts = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "maestro-deploy-"));
let cluster: Kubernetes;
let kube: Kube;
let kubeconfig: string;
let narrow: Kube;
let agent: AgentUnderTest;

beforeAll(async () => {
  // Aggregated roles are filled by a controller.
  cluster = parts.use(await startKubernetes({ controllers: true }));
  kube = await openKubeconfig(cluster.kubeconfig);
  for (const name of NARROW) await apply(name);
  kubeconfig = await asAccount();
  narrow = await openKubeconfig(kubeconfig);
  agent = parts.use(await startAgent(narrow));
}, TIMEOUT_MS);

afterAll(async () => {
  await parts.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
}, TIMEOUT_MS);

/** Runs a command with kubectl in its path, where the repository is. */
async function run(kubeconfig: string, ...command: string[]): Promise<string> {
  const build = Bun.spawn(["bash", join(REPOSITORY, "kube", "build.sh"), "--print"], {
    stdout: "pipe",
  });
  const bin = (await new Response(build.stdout).text()).trim();
  const child = Bun.spawn(command, {
    ...{ cwd: REPOSITORY, stdout: "pipe", stderr: "pipe" },
    // Without a home kubectl would keep what it has discovered where it runs.
    env: { PATH: `${bin}:${process.env.PATH}`, KUBECONFIG: kubeconfig, HOME: folder },
  });
  const output = await new Response(child.stdout).text();
  const complaints = await new Response(child.stderr).text();
  if (await child.exited !== 0) throw new Error(complaints);
  return output + complaints;
}

const kubectl = (...args: string[]) => run(cluster.kubeconfig, "kubectl", ...args);

function fileOf(name: string): string {
  return join(REPOSITORY, "deploy", "agent", `${name}.yaml`);
}

function apply(name: string): Promise<string> {
  return kubectl("apply", "--server-side", "--validate=strict", "-f", fileOf(name));
}

/** A kubeconfig of the account that the files make. */
async function asAccount(): Promise<string> {
  const token = (await kubectl("-n", "maestro-agent", "create", "token", "maestro-agent")).trim();
  const admin = await Bun.file(cluster.kubeconfig).text();
  const path = join(folder, "kubeconfig");
  await Bun.write(path, admin.replace(/^ {6}token: .*$/m, `      token: ${token}`));
  return path;
}

test("W33: every file of deploy/agent applies, and once more changes nothing", async () => {
  // A difference would be an exit code, and so an error.
  for (const name of NARROW) {
    expect(await kubectl("diff", "--server-side", "-f", fileOf(name))).toBe("");
  }
}, TIMEOUT_MS);

test("W33: the commands of the guide install the agent", async () => {
  const guide = await Bun.file(join(REPOSITORY, "docs", "agent.md")).text();
  const [, block = ""] = /```sh\n(for name in [\s\S]*?)```/.exec(guide) ?? [];
  await using bare = await startKubernetes();

  const output = await run(bare.kubeconfig, "bash", "-euc", block);

  expect(output).toContain(
    "clusterrolebinding.rbac.authorization.k8s.io/maestro-agent-cluster-admin",
  );
  expect(output).toContain("deployment.apps/maestro-agent serverside-applied");
}, TIMEOUT_MS);

test("W33: the definition in deploy/agent is the one that the agent installs itself", async () => {
  await using bare = await startKubernetes();
  const fresh = await openKubeconfig(bare.kubeconfig);
  await installLedgerType(fresh);
  const find = async (by: Kube) => {
    const name = "appliedmanifestworks.work.open-cluster-management.io";
    const kind = "CustomResourceDefinition";
    return (await by.get(await refOf(by, "apiextensions.k8s.io/v1", kind, name)))?.["spec"];
  };

  expect(await find(fresh)).toEqual(await find(kube) as JsonObject);
}, TIMEOUT_MS);

test("W33: the flags in the Deployment are flags of the agent, and its probes have the ports of its door", async () => {
  const documents = parseAllDocuments(await Bun.file(fileOf("60-agent")).text());
  const [deployment] = documents.map((document) => document.toJS());
  const [container] = deployment.spec.template.spec.containers;

  const config = parseAgentConfig(container.args, {});

  expect(config["disable-leader-election"]).toBeFalse();
  expect(deployment.spec.replicas).toBe(2);
  for (const probe of [container.livenessProbe, container.readinessProbe]) {
    expect(probe.httpGet).toMatchObject({ port: "https", scheme: "HTTPS" });
  }
  expect(container.securityContext).toMatchObject({
    ...{ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
    capabilities: { drop: ["ALL"] },
  });
});

test(
  "W33: with the narrow role a work is applied and reported, and what it may not have is named",
  async () => {
    const uid = crypto.randomUUID();

    await agent.send(uid, 1, {
      manifests: [
        configMap(`allowed-${uid}`, { a: "1" }),
        configMap(`elsewhere-${uid}`, { a: "1" }, "kube-system"),
        {
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "ClusterRole",
          metadata: { name: `role-${uid}` },
          rules: [],
        },
      ],
    });

    const report = await agent.until(
      uid,
      (report) =>
        isTrue(report, "Available") || conditionOf(report, "Applied", 0)?.status === "True",
    );
    const messages = [0, 1, 2].map((ordinal) => conditionOf(report, "Applied", ordinal)?.message);
    expect(messages[0]).toBe("Apply manifest complete");
    expect(messages[1]).toMatch(
      /"system:serviceaccount:maestro-agent:maestro-agent" cannot (get|create) resource "configmaps" .* "kube-system"/,
    );
    expect(messages[2]).toMatch(/cannot (get|create) resource "clusterroles"/);
    const live = await kube.get(await refOf(kube, "v1", "ConfigMap", `allowed-${uid}`));
    expect(live?.["data"]).toEqual({ a: "1" });
  },
  40_000,
);

test("W33: with the narrow role drift is healed and a work is deleted", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `drift-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "1" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await kube.patch(ref, { data: { a: "2" } }, { type: "merge", fieldManager: "other" });

  await eventually(
    async () => (await kube.get(ref))?.["data"],
    (found) => (found as JsonObject | undefined)?.["a"] === "1",
    { timeoutMs: 20_000 },
  );
  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await kube.get(ref)).toBeUndefined();
}, 40_000);

test(
  "W33: an agent without rights says once which are missing and for whom, and starts when it has them",
  async () => {
    const limited = await startProcess({
      kubeconfig: join(cluster.directory, "kubeconfig-limited"),
      server: `127.0.0.1:${freePort()}`,
      consumerName: "limited",
      isFromSource: true,
      until: "cannot start yet",
      args: ["--disable-leader-election=false", "--namespace=default"],
    });
    await using _ending = limited;
    const lines = () =>
      limited.log().split("\n").filter((line) => line.includes("cannot start yet"));

    expect(lines()[0]).toContain(
      String.raw`\"limited\" lacks the rights to get, list, watch, create, patch, delete on ` +
        "appliedmanifestworks.work.open-cluster-management.io; to patch on " +
        "appliedmanifestworks/status.work.open-cluster-management.io; to get, create, update on " +
        String.raw`leases.coordination.k8s.io in namespace \"default\"`,
    );
    await kubectl(
      "create",
      "clusterrolebinding",
      "limited",
      "--clusterrole=maestro-agent",
      "--user=limited",
    );
    await kubectl("-n", "default", "create", "role", "limited", "--verb=*", "--resource=leases");
    await kubectl(
      "-n",
      "default",
      "create",
      "rolebinding",
      "limited",
      "--role=limited",
      "--user=limited",
    );
    await eventually(() => limited.log(), (log) => log.includes('"serving"'), {
      timeoutMs: 40_000,
    });
    expect(lines().length).toBeLessThanOrEqual(3);
  },
  TIMEOUT_MS,
);

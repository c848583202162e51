/** The official Go work agent hands a cluster over to ours, and ours hands it back. */

import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { installLedgerType } from "../../src/lib/work/crd.ts";
import { hubHashOf } from "../../src/lib/work/ledger.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { buildInterop, hasInterop, WORK_AGENT } from "../../tools/interop.ts";
import { call, createConsumer, PATIENCE } from "../e2e/client.ts";
import { AUDITED, auditedWrites } from "../harness/audit.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { type Program, spawnProgram, startAgent } from "../harness/programs.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { serveOver } from "./our_server.ts";
import type { OurSide, Transport } from "./peer.ts";

const TIMEOUT_MS = 240_000;
const BUNDLES = "/api/maestro/v1/resource-bundles";
const OUR_ID = "ours";
const OURS = /^maestro-agent/;

const testOrSkip = test.skipIf(!hasInterop(WORK_AGENT) && process.env.CI !== "true");

const cluster = await startKubernetes({ controllers: true, ...AUDITED });
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 60_000);

/** The server and the road to it that a test is about: one at a time. */
let road: { transport: Transport; config: string; hub: string; consumer: string };
let door: { rest: string; adminToken: string };

/** Serves a new consumer over this transport. */
async function openRoad(transport: Transport): Promise<OurSide> {
  const side = await serveOver(transport);
  const { CONFIG: config = "", REST: rest = "" } = side.settings;
  const [, hub = ""] = /^(?:url|brokerHost): (.*)$/m.exec(readFileSync(config, "utf8")) ?? [];
  road = { transport, config, hub, consumer: `c-${crypto.randomUUID()}` };
  door = { rest, adminToken: "" };
  await createConsumer(door, road.consumer);
  return side;
}

/** Starts the Go agent, as the Go Maestro would. */
function startGoAgent(): Program {
  return spawnProgram([buildInterop(WORK_AGENT)], [], {
    INTEROP_KUBECONFIG: cluster.kubeconfig,
    INTEROP_CLUSTER: road.consumer,
    INTEROP_TRANSPORT: road.transport,
    INTEROP_CONFIG: road.config,
  });
}

/** Ours may reach a server under another name, if it keeps the one by which the Go agent knew it. */
function startOurAgent(): Promise<Program> {
  const { transport, config, hub, consumer } = road;
  const way = transport === "mqtt"
    ? ["--workload-source-driver", "mqtt", "--workload-source-config", config]
    : ["--server", hub.replace("127.0.0.1", "localhost"), "--hub-name", hub];
  return startAgent({
    isFromSource: true,
    kubeconfig: cluster.kubeconfig,
    consumerName: consumer,
    args: [...way, "--agent-id", OUR_ID],
  });
}

const labels = { app: "web" };
const meta = (name: string): JsonObject => ({ name, namespace: "default" });
const configMap = (name: string, data: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: meta(name),
  data,
});
const deployment = (name: string, replicas: number): JsonObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: meta(name),
  spec: {
    replicas,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { containers: [{ name: "web", image: "nginx", ports: [{ containerPort: 80 }] }] },
    },
  },
});
const option = (resource: string, name: string, updateStrategy: JsonObject): JsonObject => ({
  resourceIdentifier: {
    group: resource === "deployments" ? "apps" : "",
    resource,
    name,
    namespace: "default",
  },
  updateStrategy,
});

/** A work with everything that can be taken over, in objects of these names. */
function everything(id: string): JsonObject {
  const ignoring = {
    type: "ServerSideApply",
    serverSideApply: {
      ignoreFields: [{ condition: "OnSpokeChange", jsonPaths: [".spec.replicas"] }],
    },
  };
  return {
    manifests: [
      deployment(`update-${id}`, 1),
      deployment(`ignore-${id}`, 1),
      deployment(`ssa-${id}`, 2),
      configMap(`once-${id}`, { a: "1" }),
      configMap(`applied-${id}`, { a: "1" }),
      configMap(`plain-${id}`, { a: "1" }),
      { apiVersion: "v1", kind: "ConfigMap", metadata: meta(`seen-${id}`) },
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: meta(`secret-${id}`),
        stringData: { token: "abc" },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: meta(`service-${id}`),
        spec: { selector: labels, ports: [{ port: 80 }] },
      },
      { apiVersion: "v1", kind: "ServiceAccount", metadata: meta(`account-${id}`) },
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: meta(`role-${id}`),
        rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }],
      },
    ],
    manifest_configs: [
      option("deployments", `ignore-${id}`, ignoring),
      option("deployments", `ssa-${id}`, { type: "ServerSideApply" }),
      option("configmaps", `applied-${id}`, { type: "ServerSideApply" }),
      option("configmaps", `once-${id}`, { type: "CreateOnly" }),
      option("configmaps", `seen-${id}`, { type: "ReadOnly" }),
    ],
  };
}

async function post(bundle: JsonObject): Promise<string> {
  const { status, text, body } = await call(door, "POST", BUNDLES, {
    consumer_name: road.consumer,
    ...bundle,
  });
  if (status !== 201) throw new Error(`The bundle was answered by ${status}: ${text}`);
  return String(body.id);
}

async function update(id: string, version: number, bundle: JsonObject): Promise<void> {
  const { status, text } = await call(door, "PATCH", `${BUNDLES}/${id}`, { version, ...bundle });
  if (status !== 200) throw new Error(`The change was answered by ${status}: ${text}`);
}

async function untilApplied(id: string, version: number): Promise<void> {
  await eventually(
    () => call(door, "GET", `${BUNDLES}/${id}`),
    ({ body }) => {
      const conditions: JsonObject[] = body?.status?.conditions ?? [];
      return ["Applied", "Available"].every((type) =>
        conditions.some((one) =>
          one["type"] === type && one["status"] === "True" && one["observedGeneration"] === version
        )
      );
    },
    PATIENCE,
  );
}

async function untilGone(id: string): Promise<void> {
  const path = `${BUNDLES}/${id}`;
  await eventually(() => call(door, "GET", path), ({ status }) => status === 404, PATIENCE);
}

const ledgerRef = (id: string) =>
  refOf(
    kube,
    "work.open-cluster-management.io/v1",
    "AppliedManifestWork",
    `${hubHashOf(road.hub)}-${id}`,
  );
const ledgerOf = async (id: string) => await kube.get(await ledgerRef(id));

/** Our agent is through with a work when it has kept its record. */
async function untilKept(id: string): Promise<void> {
  await eventually(
    async () => metadataOf(await ledgerOf(id))["annotations"] as JsonObject | undefined,
    (annotations) =>
      annotations !== undefined && Object.keys(annotations).some((key) => key.includes("record")),
    PATIENCE,
  );
}

/** The objects of a work by what the ledger lists, with what a write would have changed. */
async function listed(id: string): Promise<Map<string, JsonObject>> {
  const status = (await ledgerOf(id))?.["status"] as { appliedResources: JsonObject[] };
  const found = new Map<string, JsonObject>();
  for (const one of status.appliedResources) {
    const { group, version, resource, namespace, name } = one as Record<string, string>;
    const type = {
      group: group ?? "",
      version: version ?? "",
      kind: "",
      resource: resource ?? "",
      isNamespaced: namespace !== "",
    };
    const live = await kube.get({ type, namespace: namespace ?? "", name: name ?? "" });
    const { uid, generation, ownerReferences } = metadataOf(live);
    found.set(`${resource}/${name}`, { uid, generation, ownerReferences, listed: one["uid"] });
  }
  return found;
}

for (const transport of ["grpc", "mqtt"] as const) {
  testOrSkip(
    `A114: our agent takes works of the Go agent over without a write to their objects, and hands them back (${transport})`,
    async () => {
      await using _ = await openRoad(transport);

      await handOverAndBack();
    },
    TIMEOUT_MS,
  );
}

async function handOverAndBack(): Promise<void> {
  const [first, second, orphaned] = ["a", "b", "c"].map((name) =>
    `${name}${crypto.randomUUID().slice(0, 6)}`
  ) as [string, string, string];
  for (const name of [first, second]) {
    const seen = await refOf(kube, "v1", "ConfigMap", `seen-${name}`);
    await kube.create(seen, configMap(seen.name, { token: "abc" }), WRITER);
  }
  await installLedgerType(kube);
  const goAgent = startGoAgent();
  const [same, changed] = [await post(everything(first)), await post(everything(second))];
  const deleted = await post({ manifests: [configMap(`gone-${orphaned}`, {})] });
  for (const id of [same, changed, deleted]) await untilApplied(id, 1);
  await goAgent.kill("SIGTERM");
  // Of the Go agent's last life: as if it had been restarted, and had heard nothing yet.
  await kube.patch(await ledgerRef(same), {
    status: { evictionStartTime: new Date().toISOString().replace(/\.\d+Z/, "Z") },
  }, { type: "merge", subresource: "status", ...WRITER });
  const before = { same: await listed(same), ledger: metadataOf(await ledgerOf(same)) };
  const bundle = everything(second);
  const [web, ...rest] = (bundle["manifests"] as JsonObject[]).filter((manifest) =>
    metadataOf(manifest)["name"] !== `plain-${second}`
  );
  const template = ((web?.["spec"] as JsonObject)["template"] as JsonObject)["spec"] as JsonObject;
  template["containers"] = [{ name: "web", image: "nginx" }];
  await update(changed, 1, { ...bundle, manifests: [web, ...rest] as JsonObject[] });
  await call(door, "DELETE", `${BUNDLES}/${deleted}`);
  const created = await post({ manifests: [configMap(`new-${orphaned}`, {})] });

  await takeOver({ first, second, orphaned, same, changed, deleted, created, before });
  await handBack(same, first);
}

interface Left {
  /** By which the objects of the three works are named. */
  first: string;
  second: string;
  orphaned: string;
  /** Works: one that is as it was, one that is not, one that is to go, and one that is new. */
  same: string;
  changed: string;
  deleted: string;
  created: string;
  before: { same: Map<string, JsonObject>; ledger: JsonObject };
}

/** Our agent goes on, and writes what has changed, and nothing else. */
async function takeOver(
  { first, second, orphaned, same, changed, deleted, created, before }: Left,
): Promise<void> {
  const ours = await startOurAgent();
  for (const id of [same, changed]) await untilKept(id);
  await untilApplied(changed, 2);
  await untilApplied(created, 1);
  await untilGone(deleted);

  const writes = (await auditedWrites(cluster.directory)).filter(({ userAgent }) =>
    OURS.test(userAgent)
  );
  const of = (text: string) =>
    writes.filter(({ name }) => name.includes(text)).map((
      { verb, resource, name, subresource },
    ) => [verb, resource, name, subresource].join(" ").trim());
  expect(of(first)).toEqual([]);
  // The begun eviction ends, and the record is kept: nothing else.
  expect([...new Set(of(same))].map((text) => text.replace(/ \S+(?=$| status)/, ""))).toEqual([
    "patch appliedmanifestworks status",
    "patch appliedmanifestworks",
  ]);
  expect(of(same).filter((text) => text.endsWith(" status"))).toHaveLength(1);
  expect(await listed(same)).toEqual(before.same);
  expect(metadataOf(await ledgerOf(same))["uid"]).toEqual(before.ledger["uid"]);
  expect((await ledgerOf(same))?.["spec"]).toMatchObject({ agentID: OUR_ID });
  expect((await ledgerOf(same))?.["status"]).not.toHaveProperty("evictionStartTime");
  expect(of(second)).toEqual([
    `update deployments update-${second}`,
    `delete configmaps plain-${second}`,
  ]);
  expect(of(orphaned).toSorted()).toEqual([
    `create configmaps new-${orphaned}`,
    `delete configmaps gone-${orphaned}`,
  ]);
  await ours.kill("SIGTERM");
}

/** The Go agent goes on: with the same objects, and to their end. */
async function handBack(same: string, first: string): Promise<void> {
  const between = await listed(same);
  const again = startGoAgent();
  await update(same, 1, { ...everything(first), metadata: { labels: { turn: "go" } } });
  await untilApplied(same, 2);
  const after = await listed(same);
  expect((await ledgerOf(same))?.["spec"]).toMatchObject({ agentID: hubHashOf(road.hub) });
  expect([...after.keys()]).toEqual([...between.keys()]);
  expect([...after].map(([, { uid }]) => uid)).toEqual([...between].map(([, { uid }]) => uid));
  await call(door, "DELETE", `${BUNDLES}/${same}`);
  await untilGone(same);
  expect(await ledgerOf(same)).toBeUndefined();
  expect(
    await kube.get(await refOf(kube, "apps/v1", "Deployment", `update-${first}`)),
  ).toBeUndefined();
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `seen-${first}`))).toBeDefined();
  await again.kill("SIGTERM");
}

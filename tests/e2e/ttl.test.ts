/** A Job that is done goes by itself, from the database's clock to the pods. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { createDatabase } from "../harness/postgres.ts";
import { startAgent, startServer } from "../harness/programs.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { call, createConsumer, PATIENCE } from "./client.ts";

const BUNDLES = "/api/maestro/v1/resource-bundles";
const CONSUMER = "cluster1";
const TIMEOUT_MS = 120_000;

function jobBundle(name: string, ttl: number | undefined): JsonObject {
  const container = { name: "work", image: "busybox", command: ["true"] };
  return {
    consumer_name: CONSUMER,
    manifests: [{
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name, namespace: "default" },
      spec: { template: { spec: { containers: [container], restartPolicy: "Never" } } },
    }],
    manifest_configs: [{
      resourceIdentifier: { group: "batch", resource: "jobs", name, namespace: "default" },
      updateStrategy: { type: "ServerSideApply" },
      conditionRules: [{ type: "WellKnownConditions", condition: "Complete" }],
    }],
    ...(ttl === undefined ? {} : { delete_option: { ttlSecondsAfterFinished: ttl } }),
  };
}

test(
  "A102: a work with a Job goes when it has been complete for as long as it says, and one that says nothing stays",
  async () => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await startKubernetes({ pods: true }));
    const kube = await openKubeconfig(cluster.kubeconfig);
    const database = stack.use(await createDatabase());
    const options = { isFromSource: true, databaseUrl: database.url };
    const door = stack.use(await startServer(options));
    // Another that does not: whether it is switched off is each server's own.
    stack.use(await startServer({ ...options, args: ["--ttl-after-finished=false"] }));
    await createConsumer(door, CONSUMER);
    stack.use(
      await startAgent({
        isFromSource: true,
        kubeconfig: cluster.kubeconfig,
        server: `127.0.0.1:${door.agents}`,
        consumerName: CONSUMER,
      }),
    );
    const post = async (bundle: JsonObject) => {
      const { status, text, body } = await call(door, "POST", BUNDLES, bundle);
      if (status !== 201) throw new Error(`The bundle was answered by ${status}: ${text}`);
      return String(body.id);
    };
    const isComplete = async (id: string) => {
      const { body } = await call(door, "GET", `${BUNDLES}/${id}`);
      const conditions: JsonObject[] = body?.status?.conditions ?? [];
      return conditions.some(({ type, status }) => type === "Complete" && status === "True");
    };

    const kept = await post(jobBundle("kept", undefined));
    await eventually(() => isComplete(kept), Boolean, PATIENCE);
    const gone = await post(jobBundle("gone", 1));
    const find = async (name: string) => await kube.get(await refOf(kube, "batch/v1", "Job", name));
    await eventually(() => find("gone"), (job) => job !== undefined, PATIENCE);
    await eventually(
      () => call(door, "GET", `${BUNDLES}/${gone}`),
      ({ status }) => status === 404,
      PATIENCE,
    );

    expect(await find("gone")).toBeUndefined();
    expect(await find("kept")).toBeDefined();
    expect(await isComplete(kept)).toBeTrue();
    expect(door.log()).toContain("deleted a resource that is done");
  },
  TIMEOUT_MS,
);

/** Whatever the server answers passes the schema that the document has for it, with no member that is not said. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import * as answers from "../../src/lib/rest/schemas/answers.ts";
import * as resources from "../../src/lib/rest/schemas/answers_resources.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { bundle, specEvent, statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";
import { openWatchDoors, watch } from "../harness/watch.ts";
import { type Answer, openRest, type RestHarness, V1 } from "./harness.ts";

let rest: RestHarness;
let consumer_name: string;
beforeAll(async () => {
  rest = await openRest();
  consumer_name = await rest.consumer();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

/** Fails with what is wrong, and where. */
function expectToPass(schema: v.GenericSchema, value: unknown): void {
  const { issues = [] } = v.safeParse(schema, value);
  const problems = issues.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`);
  expect(problems.length > 0 ? { problems, value } : {}).toEqual({});
}

/** The answer, which must have this status and pass. */
function checked(status: number, schema: v.GenericSchema, answer: Answer): Answer {
  expect([answer.status, answer.text]).toEqual([status, answer.text]);
  expectToPass(schema, answer.body);
  return answer;
}

const CONDITION = {
  ...{ type: "Applied", status: "True", reason: "AppliedManifestComplete", message: "done" },
  lastTransitionTime: "2023-11-23T09:26:13Z",
};
const STATUS = {
  conditions: [{ ...CONDITION, observedGeneration: 1 }],
  resourceStatus: [{
    conditions: [CONDITION],
    resourceMeta: { ordinal: 0, group: "apps", kind: "Deployment", name: "nginx" },
    statusFeedback: {
      values: [
        { name: "status", fieldValue: { type: "JsonRaw", jsonRaw: '{"replicas":1}' } },
        { name: "ready", fieldValue: { type: "Integer", integer: 1 } },
      ],
    },
  }],
};

async function report(id: string): Promise<void> {
  await rest.database.db`
    update resources set status = ${JSON.stringify(STATUS)}, status_version = 1,
      status_sequence = '1744926882802962432', sent_at = now(), attempts = 1 where id = ${id}`;
}

test("answers about this API and about errors are as the document has them", async () => {
  checked(200, answers.ApiMetadata, await rest.call("GET", "/api/maestro"));
  checked(200, answers.VersionMetadata, await rest.call("GET", V1));
  checked(200, answers.ErrorList, await rest.call("GET", `${V1}/errors`));
  checked(200, answers.ErrorAnswer, await rest.call("GET", `${V1}/errors/7`));
  const refusals: [number, string, string, string | undefined][] = [
    [404, "GET", `${V1}/nothing`, undefined],
    [404, "GET", `${V1}/resources/nothing`, undefined],
    [405, "PUT", `${V1}/consumers`, undefined],
    [400, "POST", `${V1}/consumers`, "{"],
    [400, "GET", `${V1}/resources?page=x`, undefined],
  ];
  for (const [status, method, path, body] of refusals) {
    checked(status, answers.ErrorAnswer, await rest.call(method, path, body));
  }
  const authenticate = createAuthenticator({ adminToken: "x".repeat(40), log: testLogger() });
  await using closed = await openRest({ authenticate, database: rest.database });
  checked(401, answers.LoginRefused, await closed.call("GET", `${V1}/consumers`));
});

test("answers about consumers are as the document has them", async () => {
  const { Consumer, ConsumerList } = answers;
  const name = `c-${crypto.randomUUID()}`;
  const labels = { region: "eu" };
  const created = await rest.call("POST", `${V1}/consumers`, { name, labels });
  const { id } = checked(201, Consumer, created).body;

  checked(200, Consumer, await rest.call("GET", `${V1}/consumers/${id}`));
  checked(200, Consumer, await rest.call("PATCH", `${V1}/consumers/${id}`, { labels: {} }));
  await rest.database.db`
    update consumers set last_seen_at = now(), agent_version = '0.1.0' where id = ${id}`;
  checked(200, Consumer, await rest.call("GET", `${V1}/consumers/${id}`));
  checked(200, ConsumerList, await rest.call("GET", `${V1}/consumers`));
  checked(200, ConsumerList, await rest.call("GET", `${V1}/consumers?limit=1`));
  checked(200, ConsumerList, await rest.call("GET", `${V1}/consumers?fields=name`));
});

test("answers about resources are as the document has them", async () => {
  const { Resource, ResourceList } = resources;
  const path = `${V1}/resources`;
  const created = await rest.call("POST", path, {
    ...{ consumer_name, manifest: NGINX, version: 1 },
    update_strategy: { type: "ServerSideApply", serverSideApply: { force: true } },
  });
  const { id } = checked(201, Resource, created).body;

  const manifest = { ...NGINX, spec: { ...NGINX.spec, replicas: 2 } };
  checked(200, Resource, await rest.call("PATCH", `${path}/${id}`, { version: 1, manifest }));
  await report(id);
  checked(200, Resource, await rest.call("GET", `${path}/${id}`));
  checked(200, ResourceList, await rest.call("GET", path));
  checked(200, ResourceList, await rest.call("GET", `${path}?size=0`));
  checked(200, ResourceList, await rest.call("GET", `${path}?fields=status.ContentStatus`));
  expect((await rest.call("DELETE", `${path}/${id}`)).status).toBe(204);
  const deleting = checked(200, Resource, await rest.call("GET", `${path}/${id}`));
  expect(deleting.body.deleted_at).toBeString();
});

test("answers about bundles are as the document has them", async () => {
  const { ResourceBundle, ResourceBundleList, ResourceBundleBatch } = resources;
  const path = `${V1}/resource-bundles`;
  const id = crypto.randomUUID();
  const input = {
    ...{ id, consumer_name, manifests: [NGINX], metadata: { labels: { app: "web" } } },
    manifest_configs: [{
      resourceIdentifier: { group: "apps", resource: "deployments", name: "nginx" },
      feedbackRules: [{ type: "WellKnownStatus" }],
    }],
    delete_option: { propagationPolicy: "Orphan" },
    executor: { subject: { type: "ServiceAccount" } },
  };
  checked(201, ResourceBundle, await rest.call("POST", path, input));
  const replaced = { ...input, executor: null };
  checked(200, ResourceBundle, await rest.call("PUT", `${path}/${id}`, replaced));
  const patch = { metadata: { labels: { tier: "a" } } };
  checked(200, ResourceBundle, await rest.call("PATCH", `${path}/${id}`, patch));
  await report(id);
  checked(200, ResourceBundle, await rest.call("GET", `${path}/${id}`));
  checked(200, ResourceBundleList, await rest.call("GET", `${path}?limit=1`));
  checked(200, ResourceBundleList, await rest.call("GET", `${path}?fields=metadata.labels`));
  const batch = {
    items: [
      { action: "create", bundle: { consumer_name, manifests: [] } },
      { action: "apply", bundle: input },
      { action: "delete", id },
      { action: "no such" },
    ],
  };
  const { body } = checked(
    200,
    ResourceBundleBatch,
    await rest.call("POST", `${path}:batch`, batch),
  );
  expect(body.items.map(({ status }: { status: number }) => status)).toEqual([201, 200, 204, 400]);
  checked(200, ResourceBundle, await rest.call("GET", `${path}/${id}`));
});

test("results of a batch of events are as the document has them", async () => {
  const event = {
    ...{ specversion: "1.0", id: "1", source: "a", resourceid: crypto.randomUUID() },
    type: "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
    ...{ resourceversion: 0, clustername: consumer_name, data: { manifests: [NGINX] } },
  };
  const body = JSON.stringify([event, { ...event, id: "2" }, 5]);
  const headers = { "Content-Type": "application/cloudevents-batch+json" };

  const answer = await rest.call("POST", `${V1}/cloudevents`, body, headers);

  checked(200, answers.CloudEventResultList, answer);
  expect(answer.body.items.map(({ status }: { status: number }) => status)).toEqual([
    204,
    409,
    400,
  ]);
});

test("what a watcher is told is as the document has it", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await using watcher = await watch(doors.bundles);
  const told = (count: number) => eventually(() => watcher.told(id).length >= count);

  await publish(doors.sources, specEvent({ id, consumerName, data: bundle("1") }));
  await told(1);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 1, message: "up" }));
  await told(2);
  await publish(
    doors.sources,
    specEvent({ id, consumerName, action: "delete_request", version: 1 }),
  );
  await told(3);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 1, isDeleted: true }));
  await told(4);

  const { ResourceBundle, Farewell } = resources;
  for (const { data } of watcher.events.filter((one) => one.data.id === id)) {
    expectToPass(v.union([ResourceBundle, Farewell]), data);
  }
});

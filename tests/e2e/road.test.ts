/** The whole road: from a request to a Deployment in a cluster, and its status back. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { isObject, type JsonObject, rawNumber } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { type Program, type Server, startAgent, startServer } from "../harness/programs.ts";
import { definition, openKubeconfig } from "../kube/objects.ts";
import {
  call,
  CONSUMERS,
  PATIENCE,
  post,
  RESOURCES,
  untilApplied,
  untilGone,
  untilInCluster,
} from "./client.ts";

const CONSUMER = "cluster1";
const TIMEOUT_MS = 120_000;

const parts = new AsyncDisposableStack();
let server: Server;
let kubernetes: Kubernetes;
let kube: Kube;
let agent: Program;

beforeAll(async () => {
  [server, kubernetes] = await Promise.all([
    startServer().then((server) => parts.use(server)),
    startKubernetes({ pods: true }).then((kubernetes) => parts.use(kubernetes)),
  ]);
  kube = await openKubeconfig(kubernetes.kubeconfig);
  await expectFirstAnswers();
  await call(server, "POST", CONSUMERS, { name: CONSUMER });
  agent = parts.use(
    await startAgent({
      kubeconfig: kubernetes.kubeconfig,
      server: `127.0.0.1:${server.agents}`,
      consumerName: CONSUMER,
    }),
  );
}, TIMEOUT_MS);

afterAll(() => parts.disposeAsync(), TIMEOUT_MS);

/** Before anything is created, so not a test: those come in any order. */
let first: { withoutToken: string; withToken: string };
async function expectFirstAnswers(): Promise<void> {
  const url = server.rest + RESOURCES;
  const withoutToken = await curl(url);
  const withToken = await curl("-H", `Authorization: Bearer ${server.adminToken}`, url);
  first = { withoutToken, withToken };
}

async function curl(...args: string[]): Promise<string> {
  const child = Bun.spawn(["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", ...args], {
    stdout: "pipe",
  });
  return await child.stdout.text();
}

test("curl without a token is answered by 401 and told what is missing", () => {
  const [text = "", code] = first.withoutToken.trim().split("\n");

  expect(code).toBe("401");
  expect(JSON.parse(text)).toMatchObject({
    kind: "Error",
    id: "401",
    href: "/api/maestro/errors/401",
    code: "API-401",
    reason: "Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie",
  });
});

test("curl with the admin token sees an empty list first", () => {
  expect(first.withToken).toBe(
    '{"items":[],"kind":"ResourceList","page":1,"size":0,"total":0}\n200',
  );
});

test("the executable holds the reference in each of its forms, for anybody", async () => {
  const forms = {
    json: '{\n  "openapi": "3.1.0"',
    yaml: "openapi: 3.1.0\n",
    html: "<!doctype html>",
  };
  for (const [format, start] of Object.entries(forms)) {
    const answer = await curl(`${server.rest}/api/maestro/v1/openapi?format=${format}`);

    expect([format, answer.trim().slice(0, start.length)]).toEqual([format, start]);
    expect(answer).toEndWith("\n200");
  }
});

test("a Deployment is applied, watched, changed and deleted", async () => {
  const id = await post(server, CONSUMER, NGINX);

  const { body: created } = await eventually(
    () => call(server, "GET", `${RESOURCES}/${id}`),
    ({ body }) => body?.status?.ContentStatus?.availableReplicas === 1,
    PATIENCE,
  );
  const deployment = await untilInCluster(kube, "apps/v1", "Deployment", "nginx");

  expect(created.status.ContentStatus.conditions).toContainEqual(
    expect.objectContaining({
      type: "Available",
      status: "True",
      message: "Deployment has minimum availability.",
    }),
  );
  const { Conditions, ObservedVersion, SequenceID } = created.status.ReconcileStatus;
  expect(Conditions.map(({ type, status }: JsonObject) => [type, status]).sort()).toEqual([
    ["Applied", "True"],
    ["Available", "True"],
    ["Ready", "True"],
    ["StatusFeedbackSynced", "True"],
  ]);
  expect(ObservedVersion).toBe(1);
  expect(SequenceID).toMatch(/^\d{18,20}$/);
  expect(await works()).toContain(id);
  expect(deployment).toMatchObject({ spec: { replicas: 1 }, status: { availableReplicas: 1 } });

  const changed = { ...NGINX, spec: { ...NGINX.spec, replicas: 2 } };
  const patched = await call(server, "PATCH", `${RESOURCES}/${id}`, {
    version: 1,
    manifest: changed,
  });
  const { body: updated } = await eventually(
    () => call(server, "GET", `${RESOURCES}/${id}`),
    ({ body }) => body?.status?.ContentStatus?.availableReplicas === 2,
    PATIENCE,
  );

  expect(patched).toMatchObject({ status: 200, body: { version: 2 } });
  expect(updated).toMatchObject({
    version: 2,
    status: { ReconcileStatus: { ObservedVersion: 2 } },
  });
  expect(BigInt(updated.status.ReconcileStatus.SequenceID)).toBeGreaterThan(BigInt(SequenceID));

  const removed = await call(server, "DELETE", `${RESOURCES}/${id}`);
  await untilGone(server, id);

  expect(removed).toMatchObject({ status: 204, text: "" });
  await untilInCluster(kube, "apps/v1", "Deployment", "nginx", (object) => object === undefined);
  expect(await works()).not.toContain(id);
  expect(`${server.log()}${agent.log()}`).not.toContain('"level":"error"');
}, TIMEOUT_MS);

test("a number that no double holds reaches the cluster and comes back", async () => {
  const apiVersion = "tests.example.com/v1";
  const type = await post(server, CONSUMER, definition("Gadget"));
  const digits = "9007199254740993";
  const manifest = JSON.parse(
    `{"apiVersion":"${apiVersion}","kind":"Gadget","metadata":{"name":"big"}}`,
  );
  await untilApplied(server, type);

  const posted = await call(
    server,
    "POST",
    RESOURCES,
    `{"consumer_name":"${CONSUMER}","manifest":` +
      JSON.stringify(manifest).replace(
        /}$/,
        `,"spec":{"big":${digits}},"status":{"big":${digits}}}}`,
      ),
  );
  await untilApplied(server, posted.body.id);
  const object = await untilInCluster(kube, apiVersion, "Gadget", "big");
  const { text } = await eventually(
    () => call(server, "GET", `${RESOURCES}/${posted.body.id}`),
    ({ text }) => text.includes("ContentStatus"),
    PATIENCE,
  );

  expect(posted.status).toBe(201);
  expect(rawNumber((object?.["spec"] as JsonObject)["big"])).toBe(digits);
  expect(text).toContain(`"ContentStatus":{"big":${digits}}`);
  for (const id of [posted.body.id, type]) {
    await call(server, "DELETE", `${RESOURCES}/${id}`);
    await untilGone(server, id);
  }
}, TIMEOUT_MS);

/** The works that the agent keeps in the cluster. */
async function works(): Promise<string> {
  const type = await kube.resolve("work.open-cluster-management.io/v1", "AppliedManifestWork");
  if (type === undefined) throw new Error("The agent keeps its works nowhere");
  const { items } = await kube.list(type, "");
  return JSON.stringify(items.filter(isObject));
}

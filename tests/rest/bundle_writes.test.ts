/** Resource bundles that are created, replaced, patched and deleted over REST. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const MERGE = { "Content-Type": "application/merge-patch+json" };
const STEPS = { "Content-Type": "application/json-patch+json" };
const YAML = { "Content-Type": "application/yaml" };

let rest: RestHarness;
let consumer: string;
beforeAll(async () => {
  rest = await openRest();
  consumer = await rest.consumer();
});
afterAll(() => rest[Symbol.asyncDispose]());

const settings = (content: string, name = "settings") => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data: { content },
});

const bundle = (parts: JsonObject = {}) => ({
  consumer_name: consumer,
  manifests: [settings("1")],
  ...parts,
});

async function create(parts: JsonObject = {}) {
  const answer = await rest.call("POST", BUNDLES, bundle(parts));
  if (answer.status !== 201) throw new Error(answer.text);
  return { ...answer.body, tag: answer.headers.get("etag") ?? "", path: answer.body.href };
}

async function stored(id: string): Promise<string | undefined> {
  const text = "select spec::text as spec from resources where id = $1";
  return (await query<{ spec: string }>(rest.database.db, text, [id]))[0]?.spec;
}

test("a bundle that is posted is stored, shown as it was, and its agent is to be told", async () => {
  const executor = {
    subject: { type: "ServiceAccount", serviceAccount: { name: "a", namespace: "b" } },
  };
  const config = {
    resourceIdentifier: {
      group: "",
      resource: "configmaps",
      name: "settings",
      namespace: "default",
    },
    updateStrategy: { type: "CreateOnly" },
  };
  const options = { delete_option: { propagationPolicy: "Orphan" }, manifest_configs: [config] };
  const metadata = { name: "work", labels: { app: "web" } };

  const made = await rest.call("POST", BUNDLES, bundle({ ...options, executor, metadata }));
  const { status, body, headers } = await rest.call("GET", made.body.href);

  expect([made.status, status]).toEqual([201, 200]);
  expect(made.headers.get("location")).toBe(`${BUNDLES}/${body.id}`);
  expect(made.body).toEqual(body);
  expect(headers.get("etag")).toBe(made.headers.get("etag"));
  expect(body).toMatchObject({ ...bundle(), ...options, executor, version: 1, name: body.id });
  expect(body.metadata).toMatchObject(metadata);
  const [event] = await query(
    rest.database.db,
    "select is_deletion from events where resource_id = $1",
    [body.id],
  );
  expect(event).toEqual({ is_deletion: false });
});

test("what was read and is sent back whole changes nothing, also with what the server has set", async () => {
  const { path, id } = await create({ metadata: { labels: { a: "b" } } });
  const before = await stored(id);
  const { body } = await rest.call("GET", path);

  const put = await rest.call("PUT", path, body);
  const patched = await rest.call("PATCH", path, body, MERGE);

  expect([put.status, put.body.version]).toEqual([200, 1]);
  expect([patched.status, patched.body.version]).toEqual([200, 1]);
  expect(await stored(id)).toBe(before as string);
});

test("a merge patch replaces what it names, removes what is null, and keeps the rest", async () => {
  const { path } = await create({
    metadata: { labels: { app: "web", old: "yes" }, annotations: { note: "x" } },
    delete_option: { propagationPolicy: "Orphan" },
  });

  const { status, body } = await rest.call("PATCH", path, {
    metadata: { labels: { old: null, "new": "1" } },
    manifests: [settings("2"), NGINX],
    delete_option: null,
  }, MERGE);

  expect([status, body.version]).toEqual([200, 2]);
  expect(body.metadata).toMatchObject({
    labels: { app: "web", new: "1" },
    annotations: { note: "x" },
  });
  expect(body.metadata.labels).not.toHaveProperty("old");
  expect(body).toMatchObject({ manifests: [settings("2"), NGINX], delete_option: {} });
});

test("a JSON patch changes one field of one manifest, or nothing if its test fails", async () => {
  const { path } = await create({ manifests: [settings("1"), NGINX] });
  const replicas = { op: "replace", path: "/manifests/1/spec/replicas", value: 3 };

  const done = await rest.call("PATCH", path, JSON.stringify([replicas]), STEPS);
  const stale = await rest.call(
    "PATCH",
    path,
    JSON.stringify([{ op: "test", path: "/version", value: 1 }, { op: "remove", path: "/name" }]),
    STEPS,
  );
  const absent = await rest.call(
    "PATCH",
    path,
    JSON.stringify([{ op: "remove", path: "/manifests/7" }]),
    STEPS,
  );

  expect([done.status, done.body.version]).toEqual([200, 2]);
  expect(done.body.manifests[1].spec.replicas).toBe(3);
  expect([stale.status, stale.body.reason]).toEqual([
    409,
    'Cannot apply the patch: the test of [0] failed, "/version" differs',
  ]);
  expect([absent.status, absent.body.reason]).toEqual([
    400,
    'Cannot apply the patch: [0]: "/manifests/7" is not in its list, which has 2 entries',
  ]);
});

test("PUT creates what is not there with 201, and replaces it whole with 200", async () => {
  const path = `${BUNDLES}/applied-${crypto.randomUUID()}`;

  const made = await rest.call("PUT", path, bundle({ metadata: { labels: { a: "b" } } }));
  const replaced = await rest.call("PUT", path, bundle({ manifests: [] }));

  expect([made.status, made.headers.get("location")]).toEqual([201, path]);
  expect([replaced.status, replaced.headers.get("location")]).toEqual([200, null]);
  expect(replaced.body).toMatchObject({ manifests: [], version: 2 });
  expect(replaced.body.metadata).not.toHaveProperty("labels");
});

test("two writers that have seen the same version: one is refused with the latest version", async () => {
  const { path, tag } = await create();
  const change = (content: string) => ({ manifests: [settings(content)] });

  const byBody = await Promise.all(
    ["2", "3"].map((content) => rest.call("PATCH", path, { ...change(content), version: 1 })),
  );
  const late = await rest.call("PATCH", path, change("4"), { "If-Match": tag });
  const { headers } = await rest.call("GET", path);
  const current = headers.get("etag") ?? "";
  const byTag = await Promise.all(
    ["5", "6"].map((content) =>
      rest.call("PUT", path, bundle(change(content)), { "If-Match": current })
    ),
  );

  const stale = (latest: number) =>
    `the resource version is not the latest, the latest version: ${latest}`;
  expect(byBody.map(({ status }) => status).toSorted()).toEqual([200, 409]);
  expect(byBody.find(({ status }) => status === 409)?.body).toMatchObject({
    code: "maestro-6",
    reason: stale(2),
  });
  expect([late.status, late.body.code, late.body.reason]).toEqual([412, "maestro-6", stale(2)]);
  expect(byTag.map(({ status }) => status).toSorted()).toEqual([200, 412]);
  expect(byTag.find(({ status }) => status === 412)?.body.reason).toBe(stale(3));
});

test("a status that comes in between is no reason to refuse a change, but to send the bundle anew", async () => {
  const { path, tag, id } = await create();
  const held = await rest.call("GET", path, undefined, { "If-None-Match": `"other", W/${tag}` });
  await query(
    rest.database.db,
    `update resources set status = '{"conditions":[]}', status_version = 1 where id = $1`,
    [id],
  );

  const read = await rest.call("GET", path, undefined, { "If-None-Match": tag });
  const changed = await rest.call("PATCH", path, { manifests: [] }, { "If-Match": tag });

  expect([held.status, held.text, held.headers.get("etag")]).toEqual([304, "", tag]);
  expect(read.status).toBe(200);
  expect(changed.status).toBe(200);
});

test("a tag of an earlier life of the id does not match, though the version is the same", async () => {
  const { path, tag, id } = await create();
  await query(rest.database.db, "delete from resources where id = $1", [id]);
  await rest.call("PUT", path, bundle());

  const answers = await Promise.all([
    rest.call("PUT", path, bundle({ manifests: [] }), { "If-Match": tag }),
    rest.call("PATCH", path, { manifests: [] }, { "If-Match": tag }),
    rest.call("DELETE", path, undefined, { "If-Match": tag }),
  ]);

  expect(answers.map(({ status }) => status)).toEqual([412, 412, 412]);
});

test("If-None-Match: * creates, and If-Match: * replaces, or nothing happens", async () => {
  const path = `${BUNDLES}/conditional-${crypto.randomUUID()}`;
  const put = (header: string) => rest.call("PUT", path, bundle(), { [header]: "*" });

  const answers = [await put("If-Match"), await put("If-None-Match"), await put("If-None-Match")];
  const last = await put("If-Match");

  expect([...answers, last].map(({ status }) => status)).toEqual([412, 201, 412, 200]);
  expect(last.body.version).toBe(1);
});

test("a bundle that must be new begins with the version that its body has, by PUT as by POST", async () => {
  const body = bundle({ version: 7 });

  const posted = await rest.call("POST", BUNDLES, body, { "If-None-Match": "*" });
  const path = `${BUNDLES}/seventh-${crypto.randomUUID()}`;
  const put = await rest.call("PUT", path, body, { "If-None-Match": "*" });

  expect([posted, put].map(({ status, body }) => [status, body.version])).toEqual([
    [201, 7],
    [201, 7],
  ]);
});

test("10,000 creates of one id at once: one is 201, the others are 409", async () => {
  const id = `contended-${crypto.randomUUID()}`;
  const body = JSON.stringify(bundle({ id }));

  const answers = await Promise.all(
    Array.from({ length: 10_000 }, () => rest.app.request(BUNDLES, { method: "POST", body })),
  );

  const counts = new Map<number, number>();
  for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
  expect(Object.fromEntries(counts)).toEqual({ 201: 1, 409: 9_999 });
  const [row] = await query(
    rest.database.db,
    "select count(*)::int as n from events where resource_id = $1",
    [id],
  );
  expect(row).toEqual({ n: 1 });
}, 60_000);

test("behind the last version that there is comes none, and whoever changes others meanwhile is not held up", async () => {
  const last = 2_147_483_647;
  const { body } = await rest.call("POST", BUNDLES, bundle({ version: last }));
  const other = await rest.call("POST", BUNDLES, bundle());
  const labels = { metadata: { labels: { a: "b" } } };
  const event = {
    ...{ specversion: "1.0", id: "1", source: "maestro", resourceid: body.id, resourceversion: 0 },
    type: "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.update_request",
    ...{ clustername: consumer, data: { manifests: [] } },
  };

  const [changed, ...refused] = await Promise.all([
    rest.call("PATCH", other.body.href, labels),
    rest.call("PATCH", body.href, labels),
    rest.call("PATCH", `${body.href}?dryRun=true`, labels),
    rest.call("POST", `${V1}/cloudevents`, event, {
      "Content-Type": "application/cloudevents+json",
    }),
  ]);

  expect([changed.status, changed.body.version]).toEqual([200, 2]);
  const reason =
    `Cannot update resource "${body.id}": its version ${last} is the last that there ` +
    "is; delete it and create it anew";
  for (const answer of refused) expect([answer.status, answer.body.reason]).toEqual([409, reason]);
  expect((await rest.call("PATCH", body.href, { version: last })).status).toBe(200);
  expect((await rest.call("DELETE", body.href)).status).toBe(204);
});

test("a dry run answers as the change would, and nothing is stored", async () => {
  const { path, id } = await create();
  const dry = "?dryRun=true";

  const posted = await rest.call("POST", `${BUNDLES}${dry}`, bundle());
  const put = await rest.call("PUT", `${path}${dry}`, bundle({ manifests: [] }));
  const patched = await rest.call("PATCH", `${path}${dry}`, { manifests: [] });
  const deleted = await rest.call("DELETE", `${path}${dry}`);
  const nowhere = await rest.call("POST", `${BUNDLES}${dry}`, bundle({ consumer_name: "x" }));
  const { body } = await rest.call("GET", path);

  expect([posted.status, put.status, patched.status, deleted.status]).toEqual([201, 200, 200, 204]);
  expect([put.body.version, patched.body.manifests]).toEqual([2, []]);
  expect([posted.headers.get("location"), put.headers.get("etag")]).toEqual([null, null]);
  expect([nowhere.status, nowhere.body.reason]).toEqual([
    400,
    expect.stringMatching(/consumer "x" does not exist/),
  ]);
  expect((await rest.call("GET", `${BUNDLES}/${posted.body.id}`)).status).toBe(404);
  expect(body).toMatchObject({ version: 1, id });
  expect(body).not.toHaveProperty("deleted_at");
});

test("M26: numbers of a YAML body arrive as they were written", async () => {
  const text = `
consumer_name: ${consumer}
manifests:
- apiVersion: example.com/v1
  kind: Thing
  metadata: {name: t, namespace: default}
  spec: {id: 9007199254740993, ratio: 1.0, mode: 0644, big: 123456789012345678901234567890}
`;
  const { status, body } = await rest.call("POST", BUNDLES, text, YAML);

  expect(status).toBe(201);
  expect(await stored(body.id)).toContain(
    '"spec":{"big":123456789012345678901234567890,"id":9007199254740993,"mode":420,"ratio":1.0}',
  );
});

test("manifests as kubectl takes them become a bundle that reports their statuses", async () => {
  const text = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
---
apiVersion: v1
kind: List
items:
- ${JSON.stringify(NGINX)}
---
`;
  const query = `?consumer_name=${consumer}&name=kubectl-${crypto.randomUUID().slice(0, 8)}`;

  const posted = await rest.call("POST", `${BUNDLES}${query}`, text, YAML);
  const put = await rest.call("PUT", `${posted.body.href}${query}`, text, YAML);
  const nowhere = await rest.call("POST", BUNDLES, text, YAML);

  expect([posted.status, put.status, put.body.version]).toEqual([201, 200, 1]);
  expect(posted.body.manifests.map((manifest: JsonObject) => manifest["kind"]))
    .toEqual(["ConfigMap", "Deployment"]);
  expect(posted.body.manifest_configs[1]).toMatchObject({
    resourceIdentifier: { group: "apps", resource: "deployments", name: "nginx" },
    feedbackRules: [{ type: "JSONPaths" }],
  });
  expect([nowhere.status, nowhere.body.reason]).toEqual([
    400,
    'consumer_name is required: manifests need "?consumer_name=" in the address',
  ]);
});

/** Resources over REST, as the first README shows them. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

let rest: RestHarness;
beforeAll(async () => {
  rest = await openRest();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

const PATH = `${V1}/resources`;

async function create(extra: object = {}) {
  const consumer_name = await rest.consumer();
  const { status, body } = await rest.call("POST", PATH, {
    consumer_name,
    manifest: NGINX,
    ...extra,
  });
  expect(status).toBe(201);
  return body;
}

async function report(id: string, status: object, sequence: string): Promise<void> {
  await rest.database.db`
    update resources set status = ${JSON.stringify(status)}, status_version = 1,
      status_sequence = ${sequence} where id = ${id}`;
}

test("before anything is created the list is empty", async () => {
  await using fresh = await openRest();

  const { status, text } = await fresh.call("GET", PATH);

  expect(status).toBe(200);
  expect(text).toBe('{"items":[],"kind":"ResourceList","page":1,"size":0,"total":0}');
});

test("a resource is created from the request of the first README", async () => {
  const consumer_name = await rest.consumer();

  const created = await rest.call("POST", PATH, { consumer_name, version: 1, manifest: NGINX });
  const read = await rest.call("GET", `${PATH}/${created.body.id}`);

  expect(created.status).toBe(201);
  expect(created.body).toEqual({
    consumer_name,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/),
    delete_option: { propagationPolicy: "Foreground" },
    delivery: {
      state: "pending",
      message: `version 1 is waiting for the agent of ${consumer_name}, never seen`,
      ...{ delivered_version: 0, applied_version: 0, attempts: 0 },
    },
    group_resource: { group: "apps", resource: "deployments" },
    href: `${PATH}/${created.body.id}`,
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    kind: "Resource",
    manifest: NGINX,
    name: created.body.id,
    update_strategy: { type: "ServerSideApply" },
    updated_at: created.body.created_at,
    version: 1,
  });
  expect(Object.keys(created.body)).toEqual(Object.keys(created.body).toSorted());
  expect(read).toMatchObject({ status: 200, body: created.body });
});

test("a resource is stored as a bundle of one manifest whose status is asked for", async () => {
  const { id } = await create();

  const [row] = await rest.database.db`select * from resources where id = ${id}`;

  expect(row).toMatchObject({ source: "maestro", type: "Single", version: 1, metadata: null });
  expect(JSON.parse(row?.["spec"])).toEqual({
    deleteOption: { propagationPolicy: "Foreground" },
    manifestConfigs: [{
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "status", path: ".status" }] }],
      resourceIdentifier: {
        group: "apps",
        name: "nginx",
        namespace: "default",
        resource: "deployments",
      },
      updateStrategy: { type: "ServerSideApply" },
    }],
    manifests: [NGINX],
  });
});

test("a status is shown as the first README shows it", async () => {
  const { id } = await create();
  const conditions = [{
    lastTransitionTime: "2023-11-23T09:26:13Z",
    message: "Apply manifest complete",
    reason: "AppliedManifestComplete",
    status: "True",
    type: "Applied",
  }];
  const jsonRaw = '{"replicas":1,"big":9007199254740993}';
  const values = [{ name: "status", fieldValue: { type: "JsonRaw", jsonRaw } }];
  const status = { conditions: [], resourceStatus: [{ conditions, statusFeedback: { values } }] };
  await report(id, status, "1744926882802962432");

  const { body, text } = await rest.call("GET", `${PATH}/${id}`);

  expect(body.status.ReconcileStatus).toEqual({
    Conditions: conditions,
    ObservedVersion: 1,
    SequenceID: "1744926882802962432",
  });
  expect(text).toContain('"ContentStatus":{"big":9007199254740993,"replicas":1}');
});

test("a status without feedback, or with broken feedback, breaks nothing", async () => {
  const value = (jsonRaw: unknown) => ({
    resourceStatus: [{
      conditions: null,
      statusFeedback: { values: [{ name: "status", fieldValue: { type: "JsonRaw", jsonRaw } }] },
    }],
  });
  for (const status of [{}, { resourceStatus: [] }, value("{"), value(undefined)]) {
    const { id } = await create();
    await report(id, status, "1");

    const { status: code, body } = await rest.call("GET", `${PATH}/${id}`);

    expect(code).toBe(200);
    expect(body.status).toEqual({
      ContentStatus: null,
      ReconcileStatus: { Conditions: [], ObservedVersion: 1, SequenceID: "1" },
    });
  }
});

test("a list shows its resources oldest first, page by page", async () => {
  await using fresh = await openRest();
  const consumer_name = await fresh.consumer();
  const ids: string[] = [];
  for (let count = 0; count < 3; count++) {
    const { body } = await fresh.call("POST", PATH, { consumer_name, manifest: NGINX });
    ids.push(body.id);
  }

  const first = await fresh.call("GET", `${PATH}?size=2`);
  const second = await fresh.call("GET", `${PATH}?page=2&size=2`);

  expect(first.body).toMatchObject({ kind: "ResourceList", page: 1, size: 2, total: 3 });
  expect(second.body).toMatchObject({ kind: "ResourceList", page: 2, size: 1, total: 3 });
  expect([...first.body.items, ...second.body.items].map(({ id }) => id)).toEqual(ids);
});

test("a bundle of a source is no resource of this list", async () => {
  const consumer = await rest.consumer();
  const id = crypto.randomUUID();
  await rest.database.db`
    insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, spec_event)
    values (${id}, ${id}, 's', ${consumer}, 'Bundle', 1, '{"manifests":[]}', '', '{}')`;

  const read = await rest.call("GET", `${PATH}/${id}`);
  const patch = await rest.call("PATCH", `${PATH}/${id}`, { version: 1, manifest: NGINX });
  const removed = await rest.call("DELETE", `${PATH}/${id}`);
  const list = await rest.call("GET", `${PATH}?size=-1`);

  expect([read.status, patch.status, removed.status]).toEqual([404, 404, 404]);
  expect(list.body.items.map((item: { id: string }) => item.id)).not.toContain(id);
});

test("numbers that a double cannot hold come back unchanged", async () => {
  const consumer_name = await rest.consumer();
  const manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},' +
    '"spec":{"big":9007199254740993,"decimal":1.0,"small":1e-7}}';

  const created = await rest.call(
    "POST",
    PATH,
    `{"consumer_name":"${consumer_name}","manifest":${manifest}}`,
  );
  const read = await rest.call("GET", `${PATH}/${created.body.id}`);

  expect(created.status).toBe(201);
  expect(read.text).toContain(`"manifest":${manifest}`);
});

test("a name and a starting version may be chosen, and a name is taken once", async () => {
  const consumer_name = await rest.consumer();
  const name = `n-${consumer_name.slice(0, 8)}`;
  const body = { consumer_name, manifest: NGINX, name, version: 5 };

  const first = await rest.call("POST", PATH, body);
  const second = await rest.call("POST", PATH, body);

  expect(first.body).toMatchObject({ name, version: 5 });
  expect(second).toMatchObject({
    status: 409,
    body: { code: "maestro-6", reason: "This Resource already exists" },
  });
});

test("options are stored, and what is read only is never deleted", async () => {
  const orphaned = await create({ delete_option: { propagationPolicy: "Orphan" } });
  const watched = await create({ update_strategy: { type: "ReadOnly" } });
  const force = { type: "ServerSideApply", serverSideApply: { force: true } };
  const forced = await create({ update_strategy: force, group_resource: { resource: "nginxes" } });
  const refused = await rest.call("POST", PATH, {
    consumer_name: watched.consumer_name,
    manifest: NGINX,
    update_strategy: { type: "ReadOnly" },
    delete_option: { propagationPolicy: "Foreground" },
  });

  expect(orphaned.delete_option).toEqual({ propagationPolicy: "Orphan" });
  expect(watched).toMatchObject({
    delete_option: { propagationPolicy: "Orphan" },
    update_strategy: { type: "ReadOnly" },
  });
  expect(forced).toMatchObject({
    group_resource: { group: "apps", resource: "nginxes" },
    update_strategy: force,
  });
  expect(refused).toMatchObject({
    status: 400,
    body: {
      code: "maestro-8",
      reason: "update strategy ReadOnly is only allowed with delete option Orphan",
    },
  });
});

test("what was read can be edited and sent back", async () => {
  const resource = await create({ delete_option: { propagationPolicy: "Orphan" } });
  await report(resource.id, { resourceStatus: [] }, "1");
  const { body } = await rest.call("GET", `${PATH}/${resource.id}`);
  body.manifest.spec.replicas = 3;

  const patched = await rest.call("PATCH", `${PATH}/${resource.id}`, body);

  expect(patched.status).toBe(200);
  expect(patched.body).toMatchObject({
    version: 2,
    manifest: { spec: { replicas: 3 } },
    delete_option: { propagationPolicy: "Orphan" },
    status: { ReconcileStatus: { ObservedVersion: 1 } },
  });
  expect(patched.body.updated_at > resource.updated_at).toBeTrue();
});

test("sending back what was read changes nothing", async () => {
  const { id } = await create({
    manifest: { metadata: { name: "a" }, kind: "Z", apiVersion: "v1" },
  });
  const { body } = await rest.call("GET", `${PATH}/${id}`);

  const patched = await rest.call("PATCH", `${PATH}/${id}`, body);

  expect(patched.body).toEqual(body);
});

test("a patch keeps the options that it does not give and replaces those it does", async () => {
  const { id } = await create({ update_strategy: { type: "CreateOnly" } });

  const manifest = { ...NGINX, spec: {} };
  const kept = await rest.call("PATCH", `${PATH}/${id}`, { version: 1, manifest });
  const update_strategy = { type: "ReadOnly" };
  const changed = await rest.call("PATCH", `${PATH}/${id}`, {
    version: 2,
    manifest,
    update_strategy,
  });

  expect(kept.body).toMatchObject({ version: 2, update_strategy: { type: "CreateOnly" } });
  expect(changed.body).toMatchObject({
    version: 3,
    update_strategy,
    delete_option: { propagationPolicy: "Orphan" },
  });
});

test("a patch of an old version is a conflict that names the latest", async () => {
  const { id } = await create();
  await rest.call("PATCH", `${PATH}/${id}`, { version: 1, manifest: { ...NGINX, spec: {} } });

  const stale = await rest.call("PATCH", `${PATH}/${id}`, { version: 1, manifest: NGINX });
  const early = await rest.call("PATCH", `${PATH}/${id}`, { version: 3, manifest: {} });

  for (const answer of [stale, early]) {
    expect(answer).toMatchObject({
      status: 409,
      body: {
        code: "maestro-6",
        reason: "the resource version is not the latest, the latest version: 2",
      },
    });
  }
});

test("a resource is shown while it is being deleted, and can no longer be changed", async () => {
  const { id } = await create();

  const removed = await rest.call("DELETE", `${PATH}/${id}`);
  const again = await rest.call("DELETE", `${PATH}/${id}`);
  const read = await rest.call("GET", `${PATH}/${id}`);
  const patched = await rest.call("PATCH", `${PATH}/${id}`, { version: 1, manifest: NGINX });

  expect(removed).toMatchObject({ status: 204, text: "" });
  expect(again.status).toBe(204);
  expect(read.body.deleted_at).toMatch(/^\d{4}-/);
  expect(patched).toMatchObject({
    status: 409,
    body: { reason: `the resource is under deletion, id: ${id}` },
  });
});

test("an unknown resource is not found, but its deletion succeeds", async () => {
  const reason = "Resource with id='nobody' not found";

  const read = await rest.call("GET", `${PATH}/nobody`);
  const patched = await rest.call("PATCH", `${PATH}/nobody`, { version: 1, manifest: NGINX });
  const removed = await rest.call("DELETE", `${PATH}/nobody`);

  expect(read).toMatchObject({ status: 404, body: { code: "maestro-7", reason } });
  expect(patched).toMatchObject({ status: 404, body: { code: "maestro-7", reason } });
  expect(removed.status).toBe(204);
});

test("a resource takes YAML, rehearsals and ETags as bundles do", async () => {
  const consumer_name = await rest.consumer();
  const yaml = { "Content-Type": "application/yaml" };
  const text = `consumer_name: ${consumer_name}\nmanifest: ${JSON.stringify(NGINX)}\n`;
  const dry = await rest.call("POST", `${PATH}?dryRun=true`, text, yaml);
  const made = await rest.call("POST", PATH, text, yaml);
  const tag = { "If-Match": made.headers.get("etag") ?? "" };
  const path = made.body.href;
  const manifest = { ...NGINX, spec: { ...NGINX.spec, replicas: 2 } };

  const rehearsed = await rest.call("PATCH", `${path}?dryRun=true`, { manifest }, tag);
  const changed = await rest.call("PATCH", path, { manifest }, tag);
  const late = await rest.call("PATCH", path, { manifest: NGINX }, tag);
  const held = await rest.call("GET", path, undefined, {
    "If-None-Match": changed.headers.get("etag") ?? "",
  });
  const kept = await rest.call("DELETE", path, undefined, tag);
  const shown = await rest.call("GET", path);

  expect([dry.status, made.status, made.headers.get("location")]).toEqual([201, 201, path]);
  expect((await rest.call("GET", `${PATH}/${dry.body.id}`)).status).toBe(404);
  expect([rehearsed.status, rehearsed.body.version]).toEqual([200, 2]);
  expect([changed.status, changed.body.version, changed.body.manifest]).toEqual([200, 2, manifest]);
  expect([late.status, kept.status, held.status]).toEqual([412, 412, 304]);
  expect(shown.body).not.toHaveProperty("deleted_at");
});

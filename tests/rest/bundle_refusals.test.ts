/** What is refused of those who create, replace, patch and delete bundles over REST, and in which words. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const BUNDLES = `${V1}/resource-bundles`;
const STEPS = { "Content-Type": "application/json-patch+json" };
const YAML = { "Content-Type": "application/yaml" };

let rest: RestHarness;
let consumer: string;
beforeAll(async () => {
  rest = await openRest();
  consumer = await rest.consumer();
});
afterAll(() => rest[Symbol.asyncDispose]());

const bundle = (parts: JsonObject = {}) => ({
  consumer_name: consumer,
  manifests: [NGINX],
  ...parts,
});

/** The path of a new bundle. */
async function create(): Promise<{ path: string }> {
  const { body } = await rest.call("POST", BUNDLES, bundle());
  return { path: body.href };
}

const REFUSED: [
  what: string,
  method: string,
  body: JsonObject | string,
  reason: string,
  headers?: Record<string, string>,
][] = [
  ["no consumer", "POST", { manifests: [] }, "consumer_name is required"],
  ["no manifests", "POST", { consumer_name: "c" }, "manifests is required"],
  ...["1e131071", "1e999999", "-2.5E-400", "9".repeat(101)].map((number) =>
    [
      `metadata with the number ${number}`,
      "POST",
      `{"consumer_name": "c", "manifests": [], "metadata": {"a": [1, ${number}]}}`,
      `the metadata of the resource is invalid, metadata.a.1: Invalid value: ${number}: ` +
      "must have at most 100 digits, and an exponent of two",
    ] satisfies (typeof REFUSED)[number]
  ),
  [
    "manifests that are no list",
    "PUT",
    { consumer_name: "c", manifests: {} },
    "manifests must be a list",
  ],
  [
    "a manifest that is a text",
    "PUT",
    { consumer_name: "c", manifests: [NGINX, "x"] },
    "manifests[1] must be an object",
  ],
  [
    "a manifest without a name",
    "POST",
    { consumer_name: "c", manifests: [NGINX, NGINX, { apiVersion: "v1", kind: "Pod" }] },
    "the manifest bundle in the resource is invalid, [manifests[1]: duplicate manifest for " +
    "resource default/nginx with resource type apps/v1.Deployment, which is manifests[0], " +
    "manifests[2].metadata.name: Required value: field not set]",
  ],
  [
    "options that name no manifest",
    "POST",
    { consumer_name: "c", manifests: [], manifest_configs: [{}] },
    "manifest_configs[0].resourceIdentifier must be an object",
  ],
  [
    "a label that is a number",
    "PATCH",
    { manifests: [], metadata: { labels: { a: 1 } } },
    "the metadata of the resource is invalid, metadata.labels.a: Invalid value: 1: must be a string",
  ],
  [
    "an option of another type",
    "POST",
    { consumer_name: "c", manifests: [], delete_option: { propagationPolicy: 1 } },
    "delete_option.propagationPolicy must be a string",
  ],
  ["another id", "PUT", { consumer_name: "c", id: "x" }, "manifests is required"],
  ["an id that is not the path's", "PUT", {
    ...{ consumer_name: "c", id: "x", manifests: [] },
  }, "id: it is not the one in the path"],
  ["another consumer", "PATCH", { consumer_name: "x" }, "consumer_name: field is immutable"],
  ["another name", "PATCH", { name: "x" }, "name: field is immutable"],
  [
    "a member of no bundle",
    "PATCH",
    { manifest: NGINX },
    'unknown field "manifest"; known are id, name, consumer_name, version, metadata, manifests, ' +
    "manifest_configs, delete_option, executor, kind, href, created_at, updated_at, deleted_at, " +
    "status, delivery",
  ],
  [
    "a patch that is no list of steps",
    "PATCH",
    { op: "add" },
    "Cannot apply the patch: the patch must be a list of steps",
    STEPS,
  ],
  [
    "YAML that is none",
    "POST",
    "a: [",
    "Invalid request format: Cannot read the request body: unexpected end of the stream within a flow " +
    "collection (1:5)",
    YAML,
  ],
  [
    "two bundles in one body",
    "POST",
    "consumer_name: a\n---\nconsumer_name: b\n",
    "Invalid request format: it must be one document, not 2",
    YAML,
  ],
  [
    "a tag that is none of ours",
    "PATCH",
    { manifests: [] },
    "the header If-Match must be * or one ETag that was answered here",
    { "If-Match": "abc" },
  ],
  ...["PATCH", "DELETE"].map((method) =>
    [
      "the condition that nothing is there",
      method,
      {},
      `the header If-None-Match does not go with ${method}`,
      { "If-None-Match": "*" },
    ] satisfies (typeof REFUSED)[number]
  ),
  [
    "two versions",
    "PATCH",
    { version: 1 },
    "the version 1 of the body is not that of If-Match, 2",
    { "If-Match": '"2"' },
  ],
];

for (const [what, method, body, reason, headers] of REFUSED) {
  test(`a ${method} with ${what} is refused with the field`, async () => {
    const { path } = await create();

    const answer = await rest.call(method, method === "POST" ? BUNDLES : path, body, headers);

    expect([answer.status, answer.body.reason]).toEqual([400, reason]);
  });
}

test("a parameter that rehearses is true or false, and nothing else", async () => {
  const { path } = await create();

  for (const value of ["yes", "1", "", "TRUE", "true&dryRun=false"]) {
    const { status, body } = await rest.call("DELETE", `${path}?dryRun=${value}`);

    expect([status, body.reason]).toEqual([
      400,
      expect.stringMatching(/^the parameter "dryRun" must be true or false, not "/),
    ]);
  }
  expect((await rest.call("GET", path)).body).not.toHaveProperty("deleted_at");
});

test("a change of what is missing, being deleted or a single manifest is refused as such", async () => {
  const { path } = await create();
  await rest.call("DELETE", path);
  const missing = `${BUNDLES}/missing`;
  const single = await rest.call("POST", `${V1}/resources`, {
    consumer_name: consumer,
    manifest: NGINX,
  });
  const ofSingle = `${BUNDLES}/${single.body.id}`;

  const answers = await Promise.all([
    rest.call("PATCH", path, { manifests: [] }),
    rest.call("PUT", path, bundle()),
    rest.call("PATCH", missing, { manifests: [] }),
    rest.call("PUT", missing, bundle({ version: 3 })),
    rest.call("DELETE", missing),
    rest.call("PATCH", ofSingle, { manifests: [] }),
    rest.call("PUT", ofSingle, bundle()),
    rest.call("DELETE", ofSingle),
  ]);

  expect(answers.map(({ status }) => status)).toEqual([409, 409, 404, 404, 204, 404, 404, 404]);
  expect(answers[0].body.reason).toMatch(/^the resource is under deletion, id: /);
});

test("a bare manifest whose kind or name is no text is refused by its field", async () => {
  const path = `${BUNDLES}?consumer_name=${consumer}`;

  // A number whose digits are kept cannot be turned into text.
  const odd = "[9007199254740993]";
  const kind = await rest.call("POST", path, `{ "apiVersion": "v1", "kind": ${odd} }`);
  const metadata = `{ "name": ${odd} }`;
  const name = await rest.call(
    "POST",
    path,
    `{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": ${metadata} }`,
  );

  expect([kind.status, name.status]).toEqual([400, 400]);
  expect(kind.body.reason).toContain("manifests[0].kind");
  expect(name.body.reason).toContain("manifests[0].metadata.name");
});

test("who abandons a bundle on a condition is told that there is none", async () => {
  const { path } = await create();
  await rest.call("DELETE", path);

  for (const name of ["If-Match", "If-None-Match", "Idempotency-Key"]) {
    const { status, body } = await rest.call("DELETE", `${path}?abandon=true`, undefined, {
      [name]: '"1"',
    });
    expect([status, body.reason]).toEqual([400, `the header ${name} does not go with "abandon"`]);
  }
  expect((await rest.call("GET", path)).status).toBe(200);
});

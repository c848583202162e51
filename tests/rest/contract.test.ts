/**
 * The contract of REST with clients of the Go server, row by row: what they send, the status, and what they read.
 *
 * What differs on purpose is in decisions 0013, 0024 and 0032, and is marked here by the word "ours".
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

let rest: RestHarness;
/** Ids that paths and bodies name by a word: `{consumer}`, `{labelled}`, `{bundle}`, `{deleting}`, `{resource}`, `{none}`. */
const known = new Map<string, string>([["none", crypto.randomUUID()]]);
beforeAll(async () => {
  rest = await openRest();
  const { body: consumer } = await rest.call("POST", `${V1}/consumers`, { name: "contract" });
  known.set("consumer", consumer.id);
  const labelled = { name: "labelled", labels: { a: "1" } };
  known.set("labelled", (await rest.call("POST", `${V1}/consumers`, labelled)).body.id);
  const bundle = { consumer_name: "contract", manifests: [NGINX] };
  for (const name of ["bundle", "deleting"]) {
    const { body } = await rest.call("POST", `${V1}/resource-bundles`, bundle);
    known.set(name, body.id);
  }
  const single = { consumer_name: "contract", manifest: NGINX };
  for (const name of ["resource", "leaving"]) {
    const { body } = await rest.call("POST", `${V1}/resources`, single);
    known.set(name, body.id);
  }
  await rest.call("DELETE", `${V1}/resource-bundles/${known.get("deleting")}`);
  await rest.call("DELETE", `${V1}/resources/${known.get("leaving")}`);
});
afterAll(() => rest[Symbol.asyncDispose]());

const fill = (text: string) => text.replace(/\{(\w+)\}/g, (all, name) => known.get(name) ?? all);

type Row = [
  what: string,
  request: string,
  status: number,
  reads: unknown,
  sends?: JsonObject | string,
];

const error = (code: number, reason: string | RegExp) => ({
  code: `maestro-${code}`,
  href: `${V1}/errors/${code}`,
  id: String(code),
  kind: "Error",
  operation_id: expect.stringMatching(/^[0-9A-Za-z]{27}$/),
  reason: typeof reason === "string" ? reason : expect.stringMatching(reason),
});
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const manifest = (parts: JsonObject) => ({ ...NGINX, ...parts });
const labels = (parts: JsonObject) => manifest({ metadata: { name: "a", ...parts } });

/** §1.2, §1.3, §1.5: paths, methods, errors. */
const PATHS: Row[] = [
  ["the API", "GET /api/maestro", 200, {
    id: "maestro",
    href: "/api/maestro",
    kind: "API",
    versions: [{ id: "v1", href: "/api/maestro/v1", kind: "", collections: null }],
  }],
  ["its version", "GET /api/maestro/v1", 200, {
    id: "v1",
    href: V1,
    kind: "APIVersion",
    collections: expect.arrayContaining([
      { id: "resources", href: `${V1}/resources`, kind: "ResourceList" },
      { id: "resource-bundles", href: `${V1}/resource-bundles`, kind: "ResourceBundleList" },
    ]),
  }],
  ["a trailing slash", "GET /api/maestro/", 200, { kind: "API" }],
  ["the description", "GET /api/maestro/v1/openapi", 200, { openapi: "3.1.0" }],
  ["the errors", "GET /api/maestro/v1/errors", 200, {
    kind: "ErrorList",
    page: 1,
    size: 13,
    total: 13,
  }],
  ["an error", "GET /api/maestro/v1/errors/7", 200, {
    ...error(7, "Resource not found"),
    operation_id: "",
  }],
  ["no error", "GET /api/maestro/v1/errors/2", 404, error(7, "No error with id 2 exists")],
  ["no path", "GET /api/maestro/v1/nothing", 404, {
    code: "maestro-404",
    reason: "The requested resource '/api/maestro/v1/nothing' doesn't exist",
  }],
  ["no method (ours: with a body)", "PUT /api/maestro/v1/consumers", 405, error(10, /not allowed/)],
  ["no body (POST)", "POST /api/maestro/v1/consumers", 400, error(17, /^Invalid request format: /)],
  ["no JSON", "POST /api/maestro/v1/consumers", 400, error(17, /^Invalid request format: /), "{"],
];

/** §1.9. */
const CONSUMERS: Row[] = [
  ["a consumer", "POST /consumers", 201, {
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    kind: "Consumer",
    name: "made",
    labels: { k: "v" },
    created_at: TIME,
    updated_at: TIME,
  }, { name: "made", labels: { k: "v" } }],
  [
    "no name is the id",
    "POST /consumers",
    201,
    { name: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    {},
  ],
  ["an id", "POST /consumers", 400, error(8, "id must be empty"), { id: "x" }],
  ["a label that is no text", "POST /consumers", 400, error(8, /labels/), { labels: { a: 1 } }],
  ["a name that is none (ours: 400)", "POST /consumers", 400, error(8, /name/), { name: "A_b" }],
  ["a name that is taken", "POST /consumers", 409, error(6, "This Consumer already exists"), {
    name: "contract",
  }],
  ["labels are replaced", "PATCH /consumers/{consumer}", 200, { labels: { b: "2" } }, {
    labels: { b: "2" },
  }],
  ["no labels, no change", "PATCH /consumers/{labelled}", 200, { labels: { a: "1" } }, {}],
  ["null changes nothing", "PATCH /consumers/{labelled}", 200, { labels: { a: "1" } }, {
    labels: null,
  }],
  [
    "a missing one",
    "PATCH /consumers/{none}",
    404,
    error(7, /^Consumer with id='.*' not found$/),
    {},
  ],
  [
    "one that is used",
    "DELETE /consumers/{consumer}",
    403,
    error(4, /^Unable to delete Consumer: /),
  ],
  ["one that is missing", "DELETE /consumers/{none}", 204, undefined],
  ["reads it", "GET /consumers/{consumer}", 200, { id: "{consumer}", name: "contract" }],
  ["reads none", "GET /consumers/{none}", 404, error(7, "Consumer with id='{none}' not found")],
];

/** §1.10, §3.3, §3.4. */
const BUNDLES: Row[] = [
  ["a bundle", "GET /resource-bundles/{bundle}", 200, {
    id: "{bundle}",
    kind: "ResourceBundle",
    href: `${V1}/resource-bundles/{bundle}`,
    name: "{bundle}",
    consumer_name: "contract",
    version: 1,
    created_at: TIME,
    updated_at: TIME,
    metadata: { creationTimestamp: expect.stringMatching(/^[^.]+Z$/) },
    manifests: [NGINX],
    manifest_configs: [],
    delete_option: {},
  }],
  ["one that is being deleted", "GET /resource-bundles/{deleting}", 200, {
    deleted_at: TIME,
    metadata: { deletionTimestamp: expect.stringMatching(/^[^.]+Z$/) },
  }],
  ["none", "GET /resource-bundles/{none}", 404, error(7, "Resource with id='{none}' not found")],
  ["deleted again", "DELETE /resource-bundles/{deleting}", 204, undefined],
  ["deleted though it is missing", "DELETE /resource-bundles/{none}", 204, undefined],
  [
    "a change while it is deleted",
    "PATCH /resource-bundles/{deleting}",
    409,
    error(6, "the resource is under deletion, id: {deleting}"),
    { manifests: [] },
  ],
  [
    "a stale change",
    "PATCH /resource-bundles/{bundle}",
    409,
    error(6, "the resource version is not the latest, the latest version: 1"),
    { version: 7, manifests: [] },
  ],
  [
    "an id that is taken",
    "POST /resource-bundles",
    409,
    error(6, "This Resource already exists"),
    { id: "{bundle}", consumer_name: "contract", manifests: [] },
  ],
  [
    "an unknown consumer (ours: 400)",
    "POST /resource-bundles",
    400,
    error(8, /^Unable to create Resource: .*"fk_resources_consumers"/),
    { consumer_name: "nowhere", manifests: [] },
  ],
  ["no manifest at all", "POST /resource-bundles", 201, { manifests: [], version: 1 }, {
    consumer_name: "contract",
    manifests: [],
  }],
];

/** §1.11: what is wrong with a manifest. */
const MANIFESTS: [what: string, manifest: JsonObject, reason: string][] = [
  ["no apiVersion", manifest({ apiVersion: null }), "apiVersion: Required value: field not set"],
  ["two slashes", manifest({ apiVersion: "a/b/c" }), "bad format"],
  ["an empty group", manifest({ apiVersion: "/v1" }), "group not set"],
  ["a group that is no name", manifest({ apiVersion: "A/v1" }), "RFC 1123 subdomain"],
  ["an empty version", manifest({ apiVersion: "apps/" }), "version not set"],
  ["a version that is no label", manifest({ apiVersion: "apps/1" }), "DNS-1035 label"],
  ["no kind", manifest({ kind: "" }), "kind: Required value: field not set"],
  ["no name", labels({ name: undefined }), "metadata.name: Required value: field not set"],
  ["a namespace that is none", labels({ namespace: "A" }), "metadata.namespace: Invalid value"],
  ["generateName", labels({ generateName: "a-" }), "metadata.generateName: Forbidden"],
  ["resourceVersion", labels({ resourceVersion: "1" }), "metadata.resourceVersion: Forbidden"],
  [
    "deletionGracePeriodSeconds",
    labels({ deletionGracePeriodSeconds: 1 }),
    "metadata.deletionGracePeriodSeconds: Forbidden",
  ],
  ["a label that is none", labels({ labels: { "a b": "c" } }), "metadata.labels: Invalid value"],
  ["a finalizer that is none", labels({ finalizers: ["a b"] }), "metadata.finalizers: Invalid"],
  ["an annotation that is none", labels({ annotations: { "a b": "" } }), "metadata.annotations"],
];

/** §10. */
const SINGLE = { consumer_name: "contract", manifest: NGINX };
const RESOURCES: Row[] = [
  ["a resource", "POST /resources", 201, {
    kind: "Resource",
    version: 1,
    consumer_name: "contract",
    manifest: NGINX,
    delete_option: { propagationPolicy: "Foreground" },
    update_strategy: { type: "ServerSideApply" },
  }, SINGLE],
  ["its first version", "POST /resources", 201, { version: 5 }, { ...SINGLE, version: 5 }],
  ["an id", "POST /resources", 400, error(8, "id must be empty"), { ...SINGLE, id: "x" }],
  ["no consumer", "POST /resources", 400, error(8, "consumer_name is required"), {
    manifest: NGINX,
  }],
  [
    "no manifest",
    "POST /resources",
    400,
    error(8, /^the manifest in the resource is invalid, \[apiVersion: Required value/),
    { consumer_name: "contract" },
  ],
  [
    "a delete option that is none",
    "POST /resources",
    400,
    error(8, /^invalid delete option/),
    { ...SINGLE, delete_option: { propagationPolicy: 1 } },
  ],
  [
    "an update strategy that is none",
    "POST /resources",
    400,
    error(8, /^invalid update strategy/),
    { ...SINGLE, update_strategy: { type: 1 } },
  ],
  [
    "what is only read and would be deleted",
    "POST /resources",
    400,
    error(8, "update strategy ReadOnly is only allowed with delete option Orphan"),
    {
      ...SINGLE,
      update_strategy: { type: "ReadOnly" },
      delete_option: { propagationPolicy: "Foreground" },
    },
  ],
  [
    "a name that is none",
    "POST /resources",
    400,
    error(8, /^the name in the resource is invalid/),
    {
      ...SINGLE,
      name: "A_b",
    },
  ],
  ["an unknown consumer (ours: 400)", "POST /resources", 400, error(8, /fk_resources_consumers/), {
    ...SINGLE,
    consumer_name: "nowhere",
  }],
  [
    "a change without a version",
    "PATCH /resources/{resource}",
    400,
    error(8, "version is required"),
    {
      manifest: NGINX,
    },
  ],
  [
    "another name of the object",
    "PATCH /resources/{resource}",
    400,
    error(
      8,
      "the new manifest in the resource is invalid, " +
        'metadata.name: Invalid value: "x": field is immutable',
    ),
    { version: 1, manifest: { ...NGINX, metadata: { ...NGINX.metadata, name: "x" } } },
  ],
  ["a stale change", "PATCH /resources/{resource}", 409, error(6, /the latest version: 1$/), {
    version: 3,
    manifest: NGINX,
  }],
  [
    "a change of what is being deleted",
    "PATCH /resources/{leaving}",
    409,
    error(6, /under deletion/),
    {
      version: 1,
      manifest: NGINX,
    },
  ],
  ["a change of none", "PATCH /resources/{none}", 404, error(7, /not found$/), {
    version: 1,
    manifest: NGINX,
  }],
  ["one that is being deleted", "GET /resources/{leaving}", 200, { deleted_at: TIME }],
  ["a bundle is none (ours: 404)", "GET /resources/{bundle}", 404, error(7, /not found$/)],
  ["none", "GET /resources/{none}", 404, error(7, "Resource with id='{none}' not found")],
  ["deleted though it is missing", "DELETE /resources/{none}", 204, undefined],
];

const SECTIONS = { PATHS, CONSUMERS, BUNDLES, RESOURCES };
for (const [section, rows] of Object.entries(SECTIONS)) {
  test.each(rows)(`${section.toLowerCase()}: %s: %s is answered with %i`, async (...row) => {
    const [, request, status, reads, sends] = row;
    const [method = "", path = ""] = request.split(" ");
    const address = path.startsWith("/api") ? path : `${V1}${path}`;
    const body = typeof sends === "string" ? sends : sends && fill(JSON.stringify(sends));

    const answer = await rest.call(method, fill(address), body);

    expect([answer.status, answer.text]).toEqual([status, expect.any(String)]);
    if (reads === undefined) expect(answer.text).toBe("");
    else expect(answer.body).toMatchObject(filled(reads) as object);
    expect(answer.headers.get("vary")).toContain("Authorization");
  });
}

test.each(MANIFESTS)(
  "a manifest with %s is refused by every way in",
  async (_, manifest, reason) => {
    const bundle = { consumer_name: "contract", manifests: [NGINX, manifest] };

    const answers = await Promise.all([
      rest.call("POST", `${V1}/resource-bundles`, bundle),
      rest.call("PATCH", `${V1}/resource-bundles/${known.get("bundle")}`, bundle),
      rest.call("POST", `${V1}/resources`, { consumer_name: "contract", manifest }),
    ]);

    for (const { status, body } of answers) {
      expect(status).toBe(400);
      expect(body.code).toBe("maestro-8");
      expect(body.reason).toContain(reason);
    }
    expect(answers[0].body.reason).toContain("manifests[1].");
    expect(answers[1].body.reason).toStartWith(
      "the new manifest bundle in the resource is invalid, ",
    );
  },
);

test("keys of errors are sorted, as clients have seen them", async () => {
  const { text } = await rest.call("GET", `${V1}/consumers/x`);

  expect(Object.keys(JSON.parse(text))).toEqual([
    ...["code", "href", "id", "kind", "operation_id", "reason"],
  ]);
});

/** Fills in ids wherever a text names one. */
function filled(value: unknown): unknown {
  if (typeof value === "string") return fill(value);
  if (Array.isArray(value)) return value.map(filled);
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
}

/** What clients get wrong: each a clear answer, and nothing is stored. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

let rest: RestHarness;
let consumer_name: string;
beforeAll(async () => {
  rest = await openRest();
  consumer_name = await rest.consumer();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

const PATH = `${V1}/resources`;
const MIB = 1024 * 1024;

const INVALID = "the manifest in the resource is invalid, ";

/** What is wrong, with what the body is changed, and the answer's number and reason. */
const BAD_RESOURCES: [string, JsonObject, string, string | RegExp][] = [
  ["an id", { id: "x" }, "8", "id must be empty"],
  ["no consumer", { consumer_name: undefined }, "8", "consumer_name is required"],
  ["an empty consumer", { consumer_name: "" }, "8", "consumer_name is required"],
  ["a consumer of another type", { consumer_name: 5 }, "8", "consumer_name must be a string"],
  [
    "an unknown consumer",
    { consumer_name: "nobody" },
    "8",
    /^Unable to create Resource: .*"nobody".*fk_resources_consumers/,
  ],
  [
    "no manifest",
    { manifest: undefined },
    "8",
    `${INVALID}[apiVersion: Required value: field not set, kind: Required value: field not set, ` +
    "metadata.name: Required value: field not set]",
  ],
  ["a manifest that is a text", { manifest: "x" }, "8", "manifest must be an object"],
  ["a manifest that is a list", { manifest: [] }, "8", "manifest must be an object"],
  [
    "a manifest without kind",
    { manifest: { ...NGINX, kind: undefined } },
    "8",
    `${INVALID}kind: Required value: field not set`,
  ],
  [
    "a manifest with a server's field",
    { manifest: { ...NGINX, metadata: { name: "a", resourceVersion: "1" } } },
    "8",
    `${INVALID}metadata.resourceVersion: Forbidden: field cannot be set`,
  ],
  ["a version that is a text", { version: "1" }, "8", /^version must be a whole number from 0 to /],
  ["a negative version", { version: -1 }, "8", /^version must be a whole number/],
  ["a version beyond int32", { version: 2 ** 31 }, "8", /^version must be a whole number/],
  ["a fraction as version", { version: 1.5 }, "8", /^version must be a whole number/],
  ["a name in capitals", { name: "A" }, "8", /^the name in the resource is invalid, resource.name/],
  ["a delete option that is a text", { delete_option: "Orphan" }, "8", /must be an object/],
  ["a bad policy", { delete_option: { propagationPolicy: 1 } }, "8", /^invalid delete option/],
  ["a bad strategy", { update_strategy: { type: [] } }, "8", /^invalid update strategy/],
  [
    "a bad resource",
    { group_resource: { resource: 1 } },
    "8",
    "group_resource.resource must be a string",
  ],
  ["a foreign group", { group_resource: { group: "x" } }, "8", /^group_resource.group must be "ap/],
  [
    "an unknown member of the resource",
    { group_resource: { version: "v1" } },
    "8",
    'unknown field "version" in group_resource',
  ],
  ["an unknown field", { manifests: [] }, "8", /^unknown field "manifests"; known are consumer_na/],
  ["unknown fields", { a: 1, b: 2 }, "8", /^unknown fields "a", "b"; known are /],
];

async function countResources(): Promise<number> {
  return (await rest.call("GET", `${PATH}?size=0`)).body.total;
}

for (const [what, part, number, reason] of BAD_RESOURCES) {
  test(`a resource with ${what} is refused`, async () => {
    const before = await countResources();

    const { status, body } = await rest.call("POST", PATH, {
      consumer_name,
      manifest: NGINX,
      ...part,
    });

    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: `maestro-${number}`,
      href: `/api/maestro/v1/errors/${number}`,
      id: number,
      kind: "Error",
      operation_id: expect.stringMatching(/^[0-9A-Za-z]{27}$/),
    });
    if (typeof reason === "string") expect(body.reason).toBe(reason);
    else expect(body.reason).toMatch(reason);
    expect(await countResources()).toBe(before);
  });
}

const BAD_BODIES: [string, string, number, RegExp][] = [
  ["no body", "", 400, /^Invalid request format: /],
  ["broken JSON", '{"manifest":', 400, /^Invalid request format: /],
  ["a list", "[]", 400, /^Invalid request format: .*must be a JSON object/],
  ["null", "null", 400, /^Invalid request format: .*must be a JSON object/],
  ["U+0000", '{"consumer_name":"a\\u0000"}', 400, /^Invalid request format: .*\\u0000/],
  ["half a surrogate pair", '{"consumer_name":"\\ud800"}', 400, /half a surrogate pair/],
  ["a thousand levels", `{"a":${"[".repeat(1000)}${"]".repeat(1000)}}`, 400, /nested deeper than/],
  [
    "a million levels",
    `{"a":${"[".repeat(MIB)}${"]".repeat(MIB)}}`,
    400,
    /^Invalid request format: /,
  ],
  ["10 MB", `{"a":"${"x".repeat(10 * MIB)}"}`, 413, /larger than 4194304 bytes/],
];

for (const path of [PATH, `${V1}/consumers`]) {
  for (const [what, text, expected, reason] of BAD_BODIES) {
    test(`a body of ${what} is refused by ${path}`, async () => {
      const { status, body } = await rest.call("POST", path, text);

      expect(status).toBe(expected);
      expect(body).toMatchObject({ code: "maestro-17", kind: "Error" });
      expect(body.reason).toMatch(reason);
      expect(body.reason.length).toBeLessThan(300);
    });
  }
}

test("a body that is no UTF-8 is refused", async () => {
  const body = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);

  const response = await rest.app.request(PATH, { method: "POST", body });

  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    reason: "Invalid request format: it is not UTF-8",
  });
});

test("a body that does not say how long it is, is refused once it is too long", async () => {
  const chunk = new Uint8Array(MIB).fill(0x20);
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (++sent > 100) controller.close();
      else controller.enqueue(chunk);
    },
  });

  const response = await rest.app.request(PATH, { method: "POST", body });

  expect(response.status).toBe(413);
  expect(sent).toBeLessThan(25);
});

test("a patch that changes what an object is, is refused", async () => {
  const { body: { id } } = await rest.call("POST", PATH, { consumer_name, manifest: NGINX });
  const bad: [JsonObject, string | RegExp][] = [
    [{ version: undefined }, "version is required"],
    [{ version: 0 }, /^version must be a whole number from 1 to /],
    [
      { manifest: { ...NGINX, metadata: { name: "x", namespace: "default" } } },
      "the new manifest in the resource is invalid, metadata.name: Invalid value: " +
      '"x": field is immutable',
    ],
    [{ manifest: { ...NGINX, metadata: { name: "nginx" } } }, /metadata.namespace: .*immutable$/],
    [{ manifest: { ...NGINX, kind: "Job", apiVersion: "batch/v1" } }, /\[apiVersion: .*kind: /],
    [{ manifest: undefined }, /^the new manifest in the resource is invalid, \[apiVersion: Requ/],
    [{ consumer_name: "other" }, "consumer_name: field is immutable"],
    [{ name: "other" }, "name: field is immutable"],
    [{ id: "other" }, "id: field is immutable"],
    [{ group_resource: { resource: "pods" } }, "group_resource.resource: field is immutable"],
    [{ replicas: 3 }, /^unknown field "replicas"; known are /],
  ];
  for (const [part, reason] of bad) {
    const { status, body } = await rest.call("PATCH", `${PATH}/${id}`, {
      version: 1,
      manifest: NGINX,
      ...part,
    });

    expect(status).toBe(400);
    if (typeof reason === "string") expect(body.reason).toBe(reason);
    else expect(body.reason).toMatch(reason);
  }
  expect((await rest.call("GET", `${PATH}/${id}`)).body.version).toBe(1);
});

const BAD_CONSUMERS: [string, JsonObject, RegExp][] = [
  ["an id", { id: "x" }, /^id must be empty$/],
  ["a name that is a number", { name: 5 }, /^name must be a string$/],
  ["a name in capitals", { name: "A" }, /^Unable to create Consumer: consumer.name: Invalid value/],
  ["labels that are a list", { labels: [] }, /^labels must be an object$/],
  ["a label that is a number", { labels: { a: 1 } }, /^labels\["a"\] must be a string$/],
  ["an unknown field", { label: {} }, /^unknown field "label"; known are name, labels/],
];

for (const [what, body, reason] of BAD_CONSUMERS) {
  test(`a consumer with ${what} is refused`, async () => {
    const answer = await rest.call("POST", `${V1}/consumers`, body);

    expect(answer).toMatchObject({ status: 400, body: { code: "maestro-8" } });
    expect(answer.body.reason).toMatch(reason);
  });
}

test("an id with U+0000 in the path is refused", async () => {
  for (const path of [`${PATH}/a%00b`, `${V1}/consumers/a%00b`]) {
    expect(await rest.call("GET", path)).toMatchObject({ status: 400 });
    expect(await rest.call("DELETE", path)).toMatchObject({ status: 400 });
  }
});

const BAD_LISTS: [string, RegExp][] = [
  ["page=abc", /^the parameter "page" must be a whole number, not "abc"$/],
  ["size=1e3", /^the parameter "size" must be a whole number, not "1e3"$/],
  ["page=99999999999999999999", /^the parameter "page" must be a whole number/],
  [
    "search=name%3D%3D",
    /^Failed to parse search query: name==: \[6\] unexpected `=`, expected a val/,
  ],
  ["search=x%3D%27x%27", /^x is not a valid field name; known are id, name/],
  ["orderBy=name;drop", /^bad order value 'name;drop': it must be a field/],
  ["orderBy=name%20DESC", /^bad order value 'name DESC'/],
  ["orderBy=name%20%20desc", /^bad order value 'name {2}desc'/],
  ["orderBy=name,,id", /^bad order value ''/],
  ["orderBy=a.b.c", /^bad order value 'a.b.c'/],
  ["orderBy=events.id", /^bad order value 'events.id'/],
  ["orderBy=labels", /^bad order value 'labels'/],
  ["orderBy=constructor", /^bad order value 'constructor'/],
  ["orderBy=" + "id,".repeat(10) + "id", /^bad order value: it has more than 10 fields/],
  ["limit=0", /^the parameter "limit" must be a whole number from 1 to 65500$/],
  ["limit=65501", /^the parameter "limit" must be a whole number from 1 to 65500$/],
  ["limit=x", /^the parameter "limit" must be a whole number, not "x"$/],
  ["limit=1&page=2", /^the parameter "page" does not go with "limit" and "continue"$/],
  ["continue=&size=2", /^the parameter "size" does not go with "limit" and "continue"$/],
  ["continue=x", /^the parameter "continue" must be the one of a list, as it came$/],
  ["continue=W10", /^the parameter "continue" must be the one of a list, as it came$/],
];

for (const [query, reason] of BAD_LISTS) {
  test(`a list with ${query} is refused`, async () => {
    for (const path of [PATH, `${V1}/consumers`]) {
      const { status, body } = await rest.call("GET", `${path}?${query}`);

      expect(status).toBe(400);
      expect(body.code).toBe("maestro-21");
      expect(body.reason).toMatch(reason);
    }
  });
}

test("a page far behind the last one is empty", async () => {
  const { status, body } = await rest.call("GET", `${PATH}?page=2147483647&size=65500`);

  expect(status).toBe(200);
  expect(body).toMatchObject({ items: [], page: 2147483647, size: 0 });
});

test("a page below the first is the first, a size out of range is the largest", async () => {
  const low = await rest.call("GET", `${V1}/consumers?page=-1&size=-1&search=&orderBy=`);
  const high = await rest.call("GET", `${V1}/consumers?page=0&size=99999`);
  const none = await rest.call("GET", `${V1}/consumers?size=0`);

  expect(low.body).toMatchObject({ page: 1, size: low.body.total });
  expect(high.body).toEqual(low.body);
  expect(none.body).toMatchObject({ items: [], size: 0, total: low.body.total });
});

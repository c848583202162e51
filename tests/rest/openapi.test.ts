/** The OpenAPI document: it has every route, its examples are true, and it comes in the form that is asked for. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import documentFile from "../../src/gen/openapi.json";
import type { JsonObject } from "../../src/lib/json.ts";
import * as answers from "../../src/lib/rest/schemas/answers.ts";
import * as resources from "../../src/lib/rest/schemas/answers_resources.ts";
import { BatchInput } from "../../src/lib/rest/schemas/batch.ts";
import { BundleInput, BundleMergePatch } from "../../src/lib/rest/schemas/bundle.ts";
import { CloudEvent, CloudEventBatch } from "../../src/lib/rest/schemas/cloud_event.ts";
import { ConsumerCreate, ConsumerPatch } from "../../src/lib/rest/schemas/consumer.ts";
import { JsonPatch } from "../../src/lib/rest/schemas/json_patch.ts";
import { Manifest } from "../../src/lib/rest/schemas/options.ts";
import { ResourceCreate, ResourcePatch } from "../../src/lib/rest/schemas/resource.ts";
import { parseYaml } from "../../src/lib/yaml.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const PATH = `${V1}/openapi`;
const ACCEPTED: Record<string, string>[] = [{}, { Accept: "*/*" }, { Accept: "application/json" }];
const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const SCHEMAS: Record<string, v.GenericSchema> = {
  ...{ ConsumerCreate, ConsumerPatch, ResourceCreate, ResourcePatch, BundleInput, BatchInput },
  ...{ BundleMergePatch, JsonPatch, CloudEvent, CloudEventBatch, Manifest },
  ...{ ...answers, Error: answers.ErrorAnswer, ...resources },
};

interface Content {
  schema: { $ref?: string; anyOf?: { $ref: string }[] };
  examples?: Record<string, { value: unknown }>;
}

interface Operation {
  operationId: string;
  summary: string;
  security?: unknown[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { content?: Record<string, Content> }>;
}

const document: JsonObject = documentFile;
const paths = document["paths"] as Record<string, Record<string, Operation>>;
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  }))
);

let rest: RestHarness;
beforeAll(async () => {
  rest = await openRest();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

async function fetchDocument(query = "", headers: Record<string, string> = {}): Promise<Response> {
  return await rest.app.request(`${PATH}${query}`, { headers });
}

test("every route that the server has is in the document, and no other", () => {
  const served = rest.app.routes
    .filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/"))
    .map(({ method, path }) => `${method} ${path.replace(/:id$/, "{id}")}`);

  expect(operations.map(({ name }) => name).sort()).toEqual([...new Set(served)].sort());
});

test("every reference of the document leads somewhere, and every component is used", () => {
  const text = JSON.stringify(document);
  const references = new Set([...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path));
  const components = Object.entries(document["components"] as Record<string, JsonObject>)
    .filter(([group]) => group !== "securitySchemes")
    .flatMap(([group, members]) =>
      Object.keys(members).map((name) => `components/${group}/${name}`)
    );

  expect([...references].filter((path) => !components.includes(path ?? ""))).toEqual([]);
  // Told in words: what any path answers, and the events of a stream.
  expect(components.filter((path) => !references.has(path))).toEqual([
    ...["components/responses/405", "components/schemas/Farewell", "components/schemas/WatchEnd"],
  ]);
});

test("every operation says in words what it does, and all that may come of it", () => {
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, operation } of operations) {
    expect([name, operation.summary]).toEqual([name, expect.stringMatching(/^[A-Z].*[^.]$/)]);
    const statuses = Object.keys(operation.responses);
    expect([name, statuses]).toEqual([name, expect.arrayContaining(["406", "429", "500", "503"])]);
    const isPublic = operation.security !== undefined;
    expect([name, statuses.includes("401")]).toEqual([name, !isPublic]);
  }
});

test("what the document shows as an example passes the schema that it is an example of", () => {
  let count = 0;
  for (const { name, operation: { requestBody, responses } } of operations) {
    const contents = [requestBody, ...Object.values(responses)]
      .flatMap((one) => Object.entries(one?.content ?? {}));
    for (const [type, { schema, examples = {} }] of contents) {
      if (type === "text/event-stream") continue;
      const shapes = (schema.anyOf ?? [schema]).map(({ $ref }) => $ref?.split("/").at(-1) ?? "");
      for (const [title, { value }] of Object.entries(examples)) {
        const [given] = type.endsWith("yaml") ? parseYaml(String(value), "the example") : [value];
        const passes = shapes.some((shape) => v.is(SCHEMAS[shape] ?? v.never(), given));
        expect([name, type, title, shapes, passes]).toEqual([name, type, title, shapes, true]);
        count++;
      }
    }
  }
  expect(count).toBeGreaterThan(40);
});

test("the document is JSON unless something else is asked for", async () => {
  for (const headers of ACCEPTED) {
    const response = await fetchDocument("", headers);

    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual(document);
  }
});

test("the document is YAML by its type or by its name", async () => {
  for (
    const response of [
      await fetchDocument("", { Accept: "application/yaml" }),
      await fetchDocument("", { Accept: "application/json;q=0.5, text/yaml" }),
      await fetchDocument("?format=yaml", { Accept: "application/json" }),
    ]
  ) {
    expect(response.headers.get("content-type")).toBe("application/yaml");
    expect(parseYaml(await response.text(), "the document")).toEqual([document]);
  }
});

test("a browser gets a page that runs no script and loads nothing", async () => {
  const response = await fetchDocument("", { Accept: BROWSER });
  const page = await response.text();

  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toStartWith("default-src 'none'; style-src 'sha256-");
  expect(page).not.toMatch(/<script|<link|<img|style="| on\w+="|url\(|@import/);
  const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? "";
  expect(policy).toContain(
    `'sha256-${new Bun.CryptoHasher("sha256").update(style).digest("base64")}'`,
  );
});

test("every link of the page leads to something on it, and every operation is there", async () => {
  const page = await (await fetchDocument("?format=html")).text();
  const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const links = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);

  expect(links.filter((id) => !ids.has(id))).toEqual([]);
  for (const { operation } of operations) expect(ids).toContain(operation.operationId);
});

test("whoever holds the document is told so, and whoever takes it compressed gets it so", async () => {
  const first = await fetchDocument("?format=yaml", { "Accept-Encoding": "gzip" });
  const tag = first.headers.get("etag") ?? "";

  expect(first.headers.get("content-encoding")).toBe("gzip");
  const text = new TextDecoder().decode(Bun.gunzipSync(new Uint8Array(await first.arrayBuffer())));
  expect(text).toStartWith("openapi: 3.1.0");
  const second = await fetchDocument("?format=yaml", { "If-None-Match": tag });
  expect([second.status, await second.text()]).toEqual([304, ""]);
  const other = await fetchDocument("?format=json", { "If-None-Match": tag });
  expect(other.status).toBe(200);
});

test("a form that there is not is refused with those that there are", async () => {
  const byName = await rest.call("GET", `${PATH}?format=xml`);
  const byType = await rest.call("GET", PATH, undefined, { Accept: "image/png" });

  expect([byName.status, byName.body.reason]).toEqual([
    400,
    'the parameter "format" must be one of json, yaml, html',
  ]);
  expect([byType.status, byType.body.reason]).toEqual([
    406,
    expect.stringMatching(/^Cannot answer as "image\/png": answers are application\/json, /),
  ]);
});

/** The description of REST says what there is, no more and no less. */

import { expect, test } from "bun:test";
import { isObject, type JsonObject } from "../../src/lib/json.ts";
import { OPENAPI } from "../../src/lib/rest/openapi.ts";
import { openRest } from "./harness.ts";

const METHODS = ["get", "post", "put", "patch", "delete"];

test("the description has every route and its methods, and no other", async () => {
  await using rest = await openRest();

  const routes = rest.app.routes
    .filter(({ method, path }) => METHODS.includes(method.toLowerCase()) && path.startsWith("/api"))
    .map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:id$/, "{id}")}`);
  const described = Object.entries(OPENAPI["paths"] as Record<string, JsonObject>)
    .flatMap(([path, operations]) =>
      Object.keys(operations).filter((key) => METHODS.includes(key)).map((key) => `${key} ${path}`)
    );

  expect(described.toSorted()).toEqual([...new Set(routes)].toSorted());
});

test("every reference of the description leads somewhere, and everything is referred to", () => {
  const references = new Set<string>();
  const visit = (value: unknown): void => {
    if (isObject(value) && typeof value["$ref"] === "string") references.add(value["$ref"]);
    for (const inner of Object.values(isObject(value) || Array.isArray(value) ? value : {})) {
      visit(inner);
    }
  };
  visit(OPENAPI);
  const { securitySchemes: _, ...components } = OPENAPI["components"] as JsonObject;
  const there = Object.entries(components).flatMap(([kind, named]) =>
    Object.keys(named as JsonObject).map((name) => `#/components/${kind}/${name}`)
  );

  expect([...references].toSorted()).toEqual(there.toSorted());
});

test("what bundles and resources are shown with is described", async () => {
  await using rest = await openRest();
  const consumer_name = await rest.consumer();
  const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } };
  const { schemas } = OPENAPI["components"] as { schemas: JsonObject };
  const describedOf = (name: string) =>
    Object.keys((schemas[name] as { properties: JsonObject }).properties);

  const v1 = "/api/maestro/v1";
  const bundle = await rest.call("POST", `${v1}/resource-bundles`, {
    consumer_name,
    manifests: [manifest],
  });
  const single = await rest.call("POST", `${v1}/resources`, { consumer_name, manifest });
  const consumer = await rest.call("GET", `${v1}/consumers`);

  expect(describedOf("ResourceBundle")).toEqual(expect.arrayContaining(Object.keys(bundle.body)));
  expect(describedOf("Resource")).toEqual(expect.arrayContaining(Object.keys(single.body)));
  expect(describedOf("Consumer")).toEqual(
    expect.arrayContaining(Object.keys(consumer.body.items[0])),
  );
});

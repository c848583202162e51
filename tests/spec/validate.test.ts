/** What a manifest must have to be accepted. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import {
  validateBundle,
  validateManifest,
  validateResourceName,
} from "../../src/lib/spec/validate.ts";

const NGINX = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "nginx", namespace: "default", labels: { "app.kubernetes.io/name": "nginx" } },
};

test("a manifest with type and name is valid", () => {
  expect(validateManifest(NGINX)).toEqual([]);
  expect(validateManifest({ apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } }))
    .toEqual([]);
});

test("several faults of a bundle are listed as peers list them", () => {
  const spec = { manifests: [{ kind: "ConfigMap", metadata: {} }] };

  expect(() => validateBundle(spec)).toThrow(
    "the manifest bundle in the resource is invalid, [apiVersion: Required value: field not " +
      "set, metadata.name: Required value: field not set]",
  );
});

test("one fault is given without brackets", () => {
  const spec = { manifests: [{ ...NGINX, kind: "" }] };

  expect(() => validateBundle(spec, { isUpdate: true })).toThrow(
    /^the new manifest bundle in the resource is invalid, kind: Required value: field not set$/,
  );
});

test("an absent bundle is refused, a bundle without manifests is not", () => {
  expect(() => validateBundle(undefined)).toThrow(
    "the manifest bundle in the resource is invalid, manifest bundle is empty",
  );
  expect(() => validateBundle({ manifests: [] })).not.toThrow();
});

test("A106: two manifests of one bundle cannot be the same object", () => {
  expect(() => validateBundle({ manifests: [NGINX, NGINX] })).toThrow(
    "duplicate manifest for resource default/nginx with resource type apps/v1.Deployment",
  );
});

const FAULTS: [string, JsonObject, RegExp][] = [
  ["an apiVersion of three parts", { apiVersion: "a/b/c" }, /apiVersion: .*: bad format/],
  ["an empty group", { apiVersion: "/v1" }, /group not set/],
  ["an empty version", { apiVersion: "apps/" }, /version not set/],
  ["a group in capitals", { apiVersion: "Apps/v1" }, /RFC 1123 subdomain/],
  ["a version that starts with a digit", { apiVersion: "1v" }, /DNS-1035 label/],
  ["a kind that is a number", { kind: 5 }, /kind: Invalid value: 5: must be a string/],
  ["metadata that is a list", { metadata: [] }, /metadata: Invalid value: \[\]: must be an object/],
  ["a name that is a number", { metadata: { name: 1 } }, /metadata.name: Invalid value: 1/],
  ["a namespace in capitals", { metadata: { name: "a", namespace: "A" } }, /metadata.namespace/],
  [
    "a generated name",
    { metadata: { name: "a", generateName: "a-" } },
    /^metadata.generateName: Forbidden: field cannot be set$/,
  ],
  [
    "a resource version",
    { metadata: { name: "a", resourceVersion: "7" } },
    /^metadata.resourceVersion: Forbidden: field cannot be set$/,
  ],
  [
    "a deletion grace period",
    { metadata: { name: "a", deletionGracePeriodSeconds: 0 } },
    /^metadata.deletionGracePeriodSeconds: Forbidden: field cannot be set$/,
  ],
  ["a label with a blank", { metadata: { name: "a", labels: { a: "b c" } } }, /a valid label must/],
  ["a label that is a number", { metadata: { name: "a", labels: { a: 1 } } }, /must be a string/],
  ["a bad annotation key", { metadata: { name: "a", annotations: { "/b": "" } } }, /prefix part/],
  [
    "annotations above 256 KiB",
    { metadata: { name: "a", annotations: { b: "x".repeat(256 * 1024) } } },
    /Too long: may not be more than 262144 bytes/,
  ],
  ["a bad finalizer", { metadata: { name: "a", finalizers: ["a/b/c"] } }, /metadata.finalizers/],
];

for (const [what, part, message] of FAULTS) {
  test(`${what} is refused`, () => {
    const errors = validateManifest({ ...NGINX, ...part });

    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(message);
  });
}

test("the name of a resource must be a DNS-1123 label", () => {
  expect(() => validateResourceName("Not a label")).toThrow(
    /^the name in the resource is invalid, resource.name: Invalid value: "Not a label": a lower/,
  );
  expect(() => validateResourceName("nginx-1")).not.toThrow();
});

/** Bodies by their schemas: what is told of a wrong one, and that nothing of a good one is lost. */

import { expect, test } from "bun:test";
import { canonicalJson, type JsonObject, parseJsonObject } from "../../src/lib/json.ts";
import { BatchItem } from "../../src/lib/rest/schemas/batch.ts";
import { BundleInput, BundleMergePatch } from "../../src/lib/rest/schemas/bundle.ts";
import { ConsumerCreate } from "../../src/lib/rest/schemas/consumer.ts";
import { ResourceCreate } from "../../src/lib/rest/schemas/resource.ts";
import { validate } from "../../src/lib/rest/validate.ts";

const read = (text: string) => parseJsonObject(text, "the body");

test("a document is passed on as it came: the same object, with every digit and every key", () => {
  const text = '{"consumer_name":"c","manifests":[{"big":9007199254740993,"d":1.0,"__proto__":' +
    '{"a":1},"constructor":"x"}],"metadata":{"__proto__":1},"manifest_configs":[{"constructor":1,' +
    '"resourceIdentifier":{"prototype":2}}],"delete_option":{"ttlSecondsAfterFinished":1.50}}';
  const body = read(text);

  const bundle = validate(BundleInput, body);

  const { manifests, metadata, manifest_configs, delete_option } = bundle;
  for (
    const [key, value] of Object.entries({ manifests, metadata, manifest_configs, delete_option })
  ) {
    expect([key, value === body[key]]).toEqual([key, true]);
  }
  const { consumer_name } = bundle;
  const all = { consumer_name, manifests, metadata, manifest_configs, delete_option };
  expect(canonicalJson(all)).toBe(canonicalJson(body));
});

test("labels keep keys that mean something to JavaScript", () => {
  const { labels } = validate(
    ConsumerCreate,
    read('{"labels":{"__proto__":"a","constructor":"b"}}'),
  );

  expect(canonicalJson(labels)).toBe('{"__proto__":"a","constructor":"b"}');
});

test("null and an empty text are as good as nothing", () => {
  const given = validate(
    ResourceCreate,
    read('{"consumer_name":"c","name":"","id":null,"version":null,"group_resource":null,"kind":5}'),
  );

  expect([given.name, given.version, given.manifest]).toEqual([undefined, undefined, undefined]);
});

test("a whole number counts however it is written", () => {
  for (const digits of ["2", "2.0", "20e-1", "0.2e1"]) {
    const body = read(`{"consumer_name":"c","version":${digits}}`);
    expect([digits, validate(ResourceCreate, body).version]).toEqual([digits, 2]);
  }
});

const WRONG: [string, JsonObject, () => unknown, string][] = [
  ["a typing error", { consumer_nam: "c" }, () => BundleInput, 'unknown field "consumer_nam"'],
  ["nothing", {}, () => BundleInput, "consumer_name is required"],
  ["null", { consumer_name: null }, () => BundleInput, "consumer_name is required"],
  ["a number", { consumer_name: 5 }, () => BundleInput, "consumer_name must be a string"],
  [
    "a manifest that is null",
    { consumer_name: "c", manifests: [{}, null] },
    () => BundleInput,
    "manifests[1] must be an object",
  ],
  [
    "a config without an identifier",
    { consumer_name: "c", manifests: [], manifest_configs: [{ resourceIdentifier: {} }, {}] },
    () => BundleInput,
    "manifest_configs[1].resourceIdentifier must be an object",
  ],
  ["a label", { labels: { "a.b/c": 1 } }, () => ConsumerCreate, 'labels["a.b/c"] must be a string'],
  [
    "a fraction",
    { version: 1.5 },
    () => BundleMergePatch,
    "version must be a whole number from 0 to 2147483647",
  ],
  [
    "an item without an action",
    {},
    () => BatchItem,
    "action must be create, apply, patch or delete",
  ],
  ["an item without an id", { action: "delete" }, () => BatchItem, "id is required"],
  [
    "a member of another action",
    { action: "delete", id: "a", bundle: {} },
    () => BatchItem,
    'unknown field "bundle"',
  ],
];

test.each(WRONG)("%s is told with its member", (_, body, schema, reason) => {
  const check = () => validate(schema() as typeof BundleInput, body);

  expect(check).toThrow(reason);
});

/** What the agent compares and merges before it writes. */

import { expect, test } from "bun:test";
import { type JsonObject, parseJson } from "../../src/lib/json.ts";
import { isSatisfied } from "../../src/lib/work/compare.ts";
import { goObjectHash } from "../../src/lib/work/ignore_fields.ts";
import { mergeMap, mergeOwners } from "../../src/lib/work/metadata.ts";
import { isOwned, isWildcardMatch } from "../../src/lib/work/options.ts";
import { kindRank, resourceRank } from "../../src/lib/work/rank.ts";
import { isOutdated } from "../../src/lib/work/observe.ts";
import { hubHashOf } from "../../src/lib/work/ledger.ts";

const owner = {
  apiVersion: "work.open-cluster-management.io/v1",
  kind: "AppliedManifestWork",
  name: "hash-w",
  uid: "u1",
};
const orphan = { owner, isOwned: false };

function satisfied(manifest: JsonObject, live: JsonObject): boolean {
  return isSatisfied(manifest, live, orphan);
}

test.each<[string, JsonObject, JsonObject, boolean]>([
  ["defaults of the server", { spec: { a: 1 } }, { spec: { a: 1, b: 2 }, status: {} }, true],
  ["another value", { spec: { a: 1 } }, { spec: { a: 2 } }, false],
  ["a missing member", { spec: { a: 1 } }, { spec: {} }, false],
  ["defaults inside a list", { l: [{ n: "x" }] }, { l: [{ n: "x", d: 1 }] }, true],
  ["a longer list", { l: [1] }, { l: [1, 2] }, false],
  ["an empty list for none", { l: [] }, {}, true],
  ["an empty list for some", { l: [] }, { l: [1] }, false],
  ["null for nothing", { a: null }, {}, true],
  ["text for a number", { a: "1" }, { a: 1 }, false],
  ["an extra key in a ConfigMap", cm({ a: "1" }), cm({ a: "1", b: "2" }), false],
  ["no data at all in a ConfigMap", cm(undefined), cm({ b: "2" }), false],
  ["labels of others", meta({ a: "1" }), meta({ a: "1", b: "2" }), true],
  ["a label to be removed", meta({ "b-": "" }), meta({ b: "2" }), false],
])("compared with its manifest: %s (%#)", (_, manifest, live, expected) => {
  expect(satisfied(manifest, live)).toBe(expected);
});

test("integers beyond 2^53 are compared by their digits", () => {
  const big = (text: string) => parseJson(`{"a":${text}}`) as JsonObject;

  expect(satisfied(big("9007199254740993"), big("9007199254740993"))).toBeTrue();
  expect(satisfied(big("9007199254740993"), big("9007199254740992"))).toBeFalse();
});

test("a Secret's text counts as its data", () => {
  const secret = { kind: "Secret", stringData: { a: "x" } };

  expect(satisfied(secret, { kind: "Secret", data: { a: btoa("x") } })).toBeTrue();
  expect(satisfied(secret, { kind: "Secret", data: { a: btoa("y") } })).toBeFalse();
});

test("labels are added and kept; a dash at the end removes", () => {
  expect(mergeMap({ a: "1", b: "2" }, { a: "3", "b-": "", c: "4" })).toEqual({ a: "3", c: "4" });
});

test("our owner reference is added once, renewed, and removed without touching others", () => {
  const other = { ...owner, name: "other", uid: "u2" };

  expect(mergeOwners([other], { owner, isOwned: true })).toEqual([other, owner]);
  expect(mergeOwners([{ ...owner, uid: "old" }], { owner, isOwned: true })).toEqual([owner]);
  expect(mergeOwners([other, owner], orphan)).toEqual([other]);
});

test.each([
  ["*", "", true],
  ["*1", "cm1", true],
  ["*1", "cm12", false],
  ["a*b*c", "a-x-b-c", true],
  ["a*b*c", "acb", false],
  ["ab*ba", "aba", false],
  ["a.c", "abc", false],
])("the pattern %s and the name %p: %p", (pattern, name, expected) => {
  expect(isWildcardMatch(pattern, name)).toBe(expected);
});

test("only an exact rule orphans a selected object", () => {
  const meta = { ordinal: 0, group: "", version: "v1", kind: "ConfigMap", resource: "configmaps" };
  const rule = { group: "", resource: "configmaps", name: "a", namespace: "n" };
  const option = {
    propagationPolicy: "SelectivelyOrphan",
    selectivelyOrphans: { orphaningRules: [rule] },
  };

  expect(isOwned(option, { ...meta, name: "a", namespace: "n" })).toBeFalse();
  expect(isOwned(option, { ...meta, name: "b", namespace: "n" })).toBeTrue();
  expect(isOwned(undefined, { ...meta, name: "a", namespace: "n" })).toBeTrue();
  expect(isOwned({ propagationPolicy: "Orphan" }, { ...meta, name: "a", namespace: "n" }))
    .toBeFalse();
});

test("what others need has the lower rank, by kind and by resource", () => {
  const kinds = [
    "Namespace",
    "Role",
    "ServiceAccount",
    "Secret",
    "Service",
    "Job",
    "APIService",
    "X",
  ];
  const ranks = kinds.map(kindRank);

  expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  expect(resourceRank("networkpolicies")).toBe(kindRank("NetworkPolicy"));
  expect(resourceRank("priorityclasses")).toBe(kindRank("PriorityClass"));
});

test("the hub hash is the one of the Go agent", () => {
  expect(hubHashOf("maestro-grpc-broker.maestro:8091")).toBe(
    "23b39c3f431905006b4e457b1d14502d30e344a8dd538cec751b0d30e89e88a8",
  );
});

test("the spec hash is the one of the Go agent", () => {
  const object = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "ns" },
    spec: {
      big: 123456789012,
      e: 1e21,
      f: 1.5,
      list: [1, "a", { x: "y" }],
      nul: null,
      paused: true,
      replicas: 1,
    },
  };

  expect(goObjectHash(object)).toBe("43ded9d88a9929cfb83995a8f025b6cd");
});

function cm(data: Record<string, string> | undefined): JsonObject {
  return { kind: "ConfigMap", ...(data === undefined ? {} : { data }) };
}

function meta(labels: Record<string, string>): JsonObject {
  return { metadata: { labels } };
}

test("a sighting is old if its version is a smaller number than the one that is held", () => {
  const slot = {
    meta: {
      ordinal: 0,
      group: "",
      version: "v1",
      kind: "K",
      resource: "ks",
      name: "n",
      namespace: "",
    },
    conditions: [],
    values: [],
    isDrifted: false,
    isKnown: true,
    resourceVersion: "100",
  };

  expect(["99", "100", "101", "", "x"].map((version) => isOutdated(slot, version))).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
});

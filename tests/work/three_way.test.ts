/** How a manifest is merged into a live object, by the notes of who wrote what. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { mergeThreeWay } from "../../src/lib/work/three_way.ts";

/** A live object of which we, and others, have written these fields. */
function live(spec: JsonObject, own: JsonObject, others: JsonObject = {}): JsonObject {
  const entry = (manager: string, fields: JsonObject, more: JsonObject = {}) => ({
    manager,
    operation: "Update",
    // Without members it would be a field that is written in one piece.
    fieldsV1: Object.keys(fields).length > 0 ? { "f:spec": fields } : {},
    ...more,
  });
  return { metadata: { managedFields: [entry("work-agent", own), entry("others", others)] }, spec };
}

const port = (number: number) => `k:{"port":${number},"protocol":"TCP"}`;

const ROWS: [what: string, wanted: JsonObject, live: JsonObject, merged: JsonObject][] = [
  ["a field that only we wrote goes", {}, live({ a: 1 }, { "f:a": {} }), {}],
  ["a field that others wrote stays", {}, live({ a: 1 }, {}, { "f:a": {} }), { a: 1 }],
  ["a field that nobody is noted for stays", {}, live({ a: 1 }, {}), { a: 1 }],
  ["a field of ours and others stays", {}, live({ a: 1 }, { "f:a": {} }, { "f:a": {} }), { a: 1 }],
  ["null asks for nothing", { a: null }, live({ a: 1 }, { "f:a": {} }), {}],
  ["the manifest wins", { a: 2 }, live({ a: 1 }, {}, { "f:a": {} }), { a: 2 }],
  [
    "of a struct only our part goes",
    {},
    live({ s: { a: 1, b: 2 } }, { "f:s": { "f:a": {} } }, { "f:s": { "f:b": {} } }),
    { s: { b: 2 } },
  ],
  ["a struct of ours goes whole", {}, live({ s: { a: 1 } }, { "f:s": { "f:a": {} } }), {}],
  [
    "a map that is written in one piece is replaced",
    { selector: { a: "1" } },
    live({ selector: { a: "1", b: "2" } }, { "f:selector": {} }),
    { selector: { a: "1" } },
  ],
  [
    "items are found by their keys, whatever the manifest leaves to defaults",
    { ports: [{ port: 80, name: "new" }] },
    live(
      {
        ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }, { port: 81, protocol: "TCP" }, {
          port: 82,
          protocol: "TCP",
        }],
      },
      { "f:ports": { [port(80)]: { ".": {}, "f:port": {} }, [port(81)]: { ".": {} } } },
      { "f:ports": { [port(82)]: { ".": {} } } },
    ),
    {
      ports: [{ port: 80, protocol: "TCP", nodePort: 30080, name: "new" }, {
        port: 82,
        protocol: "TCP",
      }],
    },
  ],
  [
    "of a set our values go and those of others stay",
    { set: ["c"] },
    live({ set: ["a", "b"] }, { "f:set": { 'v:"a"': {} } }, { "f:set": { 'v:"b"': {} } }),
    { set: ["c", "b"] },
  ],
  [
    "a list without keys is the manifest's",
    { args: ["x"] },
    live({ args: ["a", "b"] }, { "f:args": {} }),
    { args: ["x"] },
  ],
];

for (const [what, spec, object, merged] of ROWS) {
  test(`in a merge ${what}`, () => {
    expect(mergeThreeWay({ spec }, object)?.["spec"] ?? {}).toEqual(merged);
  });
}

test("what a status writer noted is nobody's spec, and without notes there is no merge", () => {
  const object = live({ a: 1 }, {});
  object["metadata"] = {
    managedFields: [{
      manager: "work-agent",
      subresource: "status",
      fieldsV1: { "f:spec": { "f:a": {} } },
    }],
  };

  expect(mergeThreeWay({ spec: {} }, object)).toEqual({ spec: { a: 1 } });
  expect(mergeThreeWay({ spec: {} }, { spec: {} })).toBeUndefined();
});

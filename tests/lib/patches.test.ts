/** Patches of JSON: the examples of RFC 6902 and RFC 7396, and what they leave open. */

import { expect, test } from "bun:test";
import { canonicalJson, type JsonObject, parseJson } from "../../src/lib/json.ts";
import { applyJsonPatch, parseJsonPatch } from "../../src/lib/json_patch.ts";
import { mergePatch } from "../../src/lib/merge_patch.ts";

const apply = (document: string, patch: string) =>
  canonicalJson(
    applyJsonPatch(parseJson(document) as JsonObject, parseJsonPatch(parseJson(patch))),
  );

const APPLIED: [appendix: string, document: string, patch: string, result: string][] = [
  [
    "A.1",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/baz","value":"qux"}]',
    '{"baz":"qux","foo":"bar"}',
  ],
  [
    "A.2",
    '{"foo":["bar","baz"]}',
    '[{"op":"add","path":"/foo/1","value":"qux"}]',
    '{"foo":["bar","qux","baz"]}',
  ],
  ["A.3", '{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'],
  [
    "A.4",
    '{"foo":["bar","qux","baz"]}',
    '[{"op":"remove","path":"/foo/1"}]',
    '{"foo":["bar","baz"]}',
  ],
  ["A.5", '{"baz":"qux"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo"}'],
  [
    "A.6",
    '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
    '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
    '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
  ],
  [
    "A.7",
    '{"foo":["all","grass","cows","eat"]}',
    '[{"op":"move","from":"/foo/1","path":"/foo/3"}]',
    '{"foo":["all","cows","eat","grass"]}',
  ],
  [
    "A.8",
    '{"baz":"qux","foo":["a",2,"c"]}',
    '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
    '{"baz":"qux","foo":["a",2,"c"]}',
  ],
  [
    "A.10",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/child","value":{"grandchild":{}}}]',
    '{"child":{"grandchild":{}},"foo":"bar"}',
  ],
  [
    "A.11",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/baz","value":"qux","xyz":123}]',
    '{"baz":"qux","foo":"bar"}',
  ],
  [
    "A.14",
    '{"/":9,"~1":10}',
    '[{"op":"test","path":"/~01","value":10}]',
    '{"/":9,"~1":10}',
  ],
  [
    "A.16",
    '{"foo":["bar"]}',
    '[{"op":"add","path":"/foo/-","value":["abc","def"]}]',
    '{"foo":["bar",["abc","def"]]}',
  ],
  [
    "test of everything",
    '{"a":{"b":[1,{"c":null}]},"d":true}',
    '[{"op":"test","path":"","value":{"d":true,"a":{"b":[1,{"c":null}]}}}]',
    '{"a":{"b":[1,{"c":null}]},"d":true}',
  ],
  [
    "copy",
    '{"a":{"b":1}}',
    '[{"op":"copy","from":"/a","path":"/c"},{"op":"add","path":"/c/b","value":2}]',
    '{"a":{"b":1},"c":{"b":2}}',
  ],
  ["root", '{"a":1}', '[{"op":"replace","path":"","value":{"b":2}}]', '{"b":2}'],
  [
    "digits",
    '{"a":9007199254740993}',
    '[{"op":"copy","from":"/a","path":"/b"},{"op":"test","path":"/b","value":9007199254740993}]',
    '{"a":9007199254740993,"b":9007199254740993}',
  ],
  [
    "test of numbers",
    '{"a":[1.0,100,0.5,-1200,0,1e2]}',
    '[{"op":"test","path":"/a","value":[1,1E+2,5e-1,-12.0e2,0.00,100]}]',
    '{"a":[1.0,100,0.5,-1200,0,1e2]}',
  ],
  [
    "prototype",
    '{"a":1}',
    '[{"op":"add","path":"/__proto__","value":{"x":1}}]',
    '{"__proto__":{"x":1},"a":1}',
  ],
];

for (const [appendix, document, patch, result] of APPLIED) {
  test(`a JSON patch does what RFC 6902 says: ${appendix}`, () => {
    expect(apply(document, patch)).toBe(result);
  });
}

const REFUSED: [what: string, patch: string, reason: string][] = [
  [
    "a test that fails (A.9)",
    '[{"op":"test","path":"/a","value":"bar"}]',
    "the test of [0] failed",
  ],
  [
    "a target that is not there (A.12)",
    '[{"op":"add","path":"/x/y","value":1}]',
    '"/x/y" does not exist',
  ],
  [
    "numbers that a double cannot tell apart",
    '[{"op":"test","path":"/n","value":9007199254740992}]',
    "the test of [0] failed",
  ],
  ["an unknown step", '[{"op":"constructor","path":"/a"}]', "[0].op must be one of add, replace"],
  [
    "a test of another shape",
    '[{"op":"test","path":"/o","value":{"p":1,"q":2}}]',
    "the test of [0] failed",
  ],
  [
    "a test of a list for an object",
    '[{"op":"test","path":"/l","value":{}}]',
    "the test of [0] failed",
  ],
  ["no value", '[{"op":"add","path":"/a"}]', "[0].value is required"],
  ["no pointer", '[{"op":"remove","path":"a"}]', "[0].path must be a JSON pointer"],
  ["half an escape", '[{"op":"remove","path":"/a~2"}]', "[0].path must be a JSON pointer"],
  ["a place beyond the list", '[{"op":"add","path":"/l/3","value":1}]', "which has 2 entries"],
  ["a place with a leading zero", '[{"op":"remove","path":"/l/01"}]', "which has 2 entries"],
  [
    "the end of a list to replace",
    '[{"op":"replace","path":"/l/-","value":1}]',
    "which has 2 entries",
  ],
  [
    "a member of the prototype",
    '[{"op":"remove","path":"/toString"}]',
    '"/toString" does not exist',
  ],
  [
    "a move into itself",
    '[{"op":"move","from":"/o","path":"/o/x"}]',
    "cannot be moved into itself",
  ],
  ["the removal of all", '[{"op":"remove","path":""}]', "the whole document cannot be removed"],
  ["a list in its place", '[{"op":"replace","path":"","value":[]}]', "must be an object"],
  [
    "copies of copies without end",
    JSON.stringify([
      { op: "add", path: "/c", value: "x".repeat(10_000) },
      ...Array.from({ length: 40 }, () => ({ op: "copy", from: "/o", path: "/o/o" })),
      ...Array.from({ length: 500 }, (_, at) => ({ op: "copy", from: "/c", path: `/o/c${at}` })),
    ]),
    "the patch copies more than",
  ],
  ["a thousand steps and one", JSON.stringify(Array(1_001).fill({})), "at most 1000 steps"],
];

for (const [what, patch, reason] of REFUSED) {
  test(`a JSON patch with ${what} is refused`, () => {
    const document = '{"a":1,"n":9007199254740993,"l":[1,2],"o":{"p":1}}';

    expect(() => apply(document, patch)).toThrow(reason);
  });
}

const MERGED: [document: string, patch: string, result: string][] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '{"a":"b"}', '{"a":"b"}'],
  ['{"e":null}', '{"a":1}', '{"a":1,"e":null}'],
  ['{"a":"foo"}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ['{"a":1}', '{"__proto__":{"x":9007199254740993}}', '{"__proto__":{"x":9007199254740993},"a":1}'],
];

for (const [document, patch, result] of MERGED) {
  test(`${patch} merged into ${document} is ${result}`, () => {
    const merged = mergePatch(parseJson(document), parseJson(patch) as JsonObject);

    expect(canonicalJson(merged)).toBe(result);
  });
}

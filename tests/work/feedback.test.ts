/** Values read from objects by kubectl's JSONPath; the table is the behaviour of the Go agent. */

import { expect, test } from "bun:test";
import { type JsonObject, parseJson } from "../../src/lib/json.ts";
import type { FeedbackRule } from "../../src/lib/wire/work_spec.ts";
import { readFeedback } from "../../src/lib/work/feedback.ts";

const BYTES_MAX = 1024;

const object = parseJson(
  '{"apiVersion":"test.io/v1","kind":"Thing","status":{"f":1.5,"i":3,"b":false,"s":"x<y&z>","nul":null,"empty":[],' +
    '"obj":{"z":1,"a":"é"},"list":[{"t":"A","s":"1"},{"t":"B","s":"2"}],"big":9007199254740993,"nums":[{"n":2,"f":1.5}]},' +
    '"metadata":{"annotations":{"a.b/c":"<&>"}}}',
) as JsonObject;

function read(path: string) {
  const rules: FeedbackRule[] = [{ type: "JSONPaths", jsonPaths: [{ name: "n", path }] }];
  const { values, errors } = readFeedback(rules, object, BYTES_MAX);
  const [value] = values;
  return errors[0] ?? (value === undefined ? "omitted" : JSON.stringify(value.fieldValue));
}

const jsonRaw = (text: string) => JSON.stringify({ type: "JsonRaw", jsonRaw: text });
const integer = (text: string) => `{"type":"Integer","integer":${text}}`;
const string = (text: string) => JSON.stringify({ type: "String", string: text });

test.each([
  [".status.f", jsonRaw("1.5")],
  [".status.i", integer("3")],
  [".status['i']", integer("3")],
  ["$.status.i", integer("3")],
  ["@.status.i", integer("3")],
  [".status.b", '{"type":"Boolean","boolean":false}'],
  [".status.nul", "omitted"],
  [".status.missing", "omitted"],
  [".status.empty[*]", "omitted"],
  ['.status.list[?(@.t=="C")].s', "omitted"],
  [".status.empty", jsonRaw("[]")],
  [".status.obj", jsonRaw('{"a":"é","z":1}')],
  [".status.list[*].t", jsonRaw('["A","B"]')],
  ["..t", jsonRaw('["A","B"]')],
  ['.status.list[?(@.t=="B")].s', string("2")],
  [".status.list[-1:].t", string("B")],
  [".status.list[0:1].t", string("A")],
  [".status.list[0,1].t", jsonRaw('["A","B"]')],
  [".status.list[?(@.s)].t", jsonRaw('["A","B"]')],
  [".status.s", string("x<y&z>")],
  [".metadata.annotations.a\\.b/c", string("<&>")],
  [".metadata.annotations['a.b/c']", string("<&>")],
  [".metadata.annotations['a\\.b/c']", string("<&>")],
  [".['status.i']", integer("3")],
  [".metadata.annotations", jsonRaw('{"a.b/c":"\\u003c\\u0026\\u003e"}')],
  [".status.big", integer("9007199254740993")],
  [".status.i .status.neg", "omitted"],
  [".", "omitted"],
  [".status.", "omitted"],
  ["range .status.list", "omitted"],
  ['.status.list[?(@.t!="A")].s', string("2")],
  [".status.list[?(@.none==1)].s", "omitted"],
  [".status.nums[?(@.n==2)].n", integer("2")],
  [".status.nums[?(@.f>=1.5)].f", jsonRaw("1.5")],
])("the path %s gives %s", (path, expected) => {
  expect(read(path)).toBe(expected);
});

test.each([
  [
    ".status.list[5].t",
    "failed to find value for n with error: array index out of bounds: index 5, length 2",
  ],
  ["status.i", "unrecognized identifier status"],
  ["{.status.i}", "failed to parse json path"],
  [".status.list[0", "failed to parse json path"],
  [".status.i[0]", "int64 is not array or slice"],
  [".status.s[0]", "string is not array or slice"],
  ['.status["i"]', 'invalid array index "i"'],
  [".status.list[ 0 ]", "invalid array index  0 "],
  [".status.list[a]", "invalid array index a"],
  ['.status.list[?(@.s=="2" && @.t=="B")].t', "unrecognized character in action: U+0026 '&'"],
  ['.status.list[?(@.t=~"A")].t', "unrecognized character in action: U+007E '~'"],
  [".status.list[?(@.s==2)].t", "incompatible types for comparison"],
  [".status.nums[?(@.n==2.0)].n", "incompatible types for comparison"],
  [".status.list[?(@.s=1)].t", "incompatible types for comparison"],
])("the path %s is an error: %s", (path, expected) => {
  expect(read(path)).toContain(expected);
});

test("one bad path does not hold back the good ones", () => {
  const jsonPaths = [{ name: "bad", path: "{" }, { name: "good", path: ".status.i" }];

  const { values, errors } = readFeedback([{ type: "JSONPaths", jsonPaths }], object, BYTES_MAX);

  expect(values.map(({ name }) => name)).toEqual(["good"]);
  expect(errors).toHaveLength(1);
});

test("a value beyond the limit is an error that names the limit, a string has none", () => {
  const jsonPaths = [{ name: "raw", path: ".status" }, { name: "text", path: ".status.s" }];

  const { values, errors } = readFeedback([{ type: "JSONPaths", jsonPaths }], object, 3);

  expect(errors).toEqual([
    "the length of returned json raw string for name raw is larger than the maximum length 3",
  ]);
  expect(values.map(({ name }) => name)).toEqual(["text"]);
});

test("a path for another version of the kind is an error", () => {
  const jsonPaths = [{ name: "n", path: ".status.i", version: "v2" }];

  const { errors } = readFeedback([{ type: "JSONPaths", jsonPaths }], object, BYTES_MAX);

  expect(errors).toEqual([
    "version set in the path n is not matched for the related resource",
  ]);
});

test("well-known statuses are known by kind and version only", () => {
  const rules: FeedbackRule[] = [{ type: "WellKnownStatus" }];
  const job: JsonObject = {
    apiVersion: "batch/v1",
    kind: "Job",
    status: { succeeded: 1, conditions: [{ type: "Complete", status: "True" }] },
  };

  const known = readFeedback(rules, job, BYTES_MAX);
  const unknown = readFeedback(rules, { apiVersion: "v1", kind: "ServiceAccount" }, BYTES_MAX);

  expect(known.values).toEqual([
    { name: "JobComplete", fieldValue: { type: "String", string: "True" } },
    { name: "JobSucceeded", fieldValue: { type: "Integer", integer: 1 } },
  ]);
  expect(unknown.errors).toEqual([
    "cannot find the wellknown statuses for resource with gvk /v1, Kind=ServiceAccount",
  ]);
});

test.each([1024, 1024 * 1024])(
  "raw JSON of %d bytes fits a limit of as many, one more is an error",
  (limit) => {
    const rules: FeedbackRule[] = [{
      type: "JSONPaths",
      jsonPaths: [{ name: "n", path: ".status.o" }],
    }];
    // What Go escapes is counted as it is sent: each of these is six bytes long.
    const frame = '{"o":""}'.length;
    const text = `<${"x".repeat(limit - frame - "\\u003c".length)}`;
    const lengthOf = (value: string) =>
      readFeedback(rules, { apiVersion: "v1", kind: "T", status: { o: { o: value } } }, limit);

    const fits = lengthOf(text);
    const longer = lengthOf(`${text}x`);

    expect(Buffer.byteLength(fits.values[0]?.fieldValue.jsonRaw ?? "")).toBe(limit);
    expect(longer.values).toEqual([]);
    expect(longer.errors).toEqual([
      "the length of returned json raw string for name n is larger than the maximum length " +
      limit,
    ]);
  },
);

/** JSON that keeps its numbers. */

import { expect, test } from "bun:test";
import { canonicalJson, parseJson, parseJsonObject, rawNumber } from "../../src/lib/json.ts";

test("numbers that a double would change are written as they were read", () => {
  const texts = [
    '{"a":9007199254740993}',
    '{"a":1.0}',
    "[-0]",
    "[1e3,1E400,0.1,123456789012345678901234567890]",
    "1.0",
    '{"a":[1,-2.50],"image":"shop:1.42.7"}',
    '{"t":"2026-01-02T03:04:05Z","n":1}',
  ];

  for (const text of texts) expect(JSON.stringify(parseJson(text))).toBe(text);
});

test("a kept number gives its digits", () => {
  const [kept] = parseJson("[9007199254740993]") as unknown[];

  expect(rawNumber(kept)).toBe("9007199254740993");
  expect(rawNumber(1)).toBeUndefined();
});

test("canonical JSON sorts keys by their bytes and keeps numbers", () => {
  expect(canonicalJson(parseJson('{"b":1.0,"a":{"z":[2,{"y":1,"x":null}],"é":0},"\\ue000":1}')))
    .toBe('{"a":{"z":[2,{"x":null,"y":1}],"é":0},"b":1.0,"\ue000":1}');
});

test("an escaped NUL is refused, an escaped backslash before u0000 is not", () => {
  expect(() => parseJsonObject('{"a":"\\u0000"}', "x")).toThrow("it contains \\u0000");
  expect(parseJsonObject('{"a":"\\\\u0000"}', "x")).toEqual({ a: "\\u0000" });
});

test("a document that is nested without end, or holds half a surrogate pair, is refused", () => {
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;

  expect(() => parseJsonObject(deep, "x")).toThrow("Cannot read x");
  expect(() => parseJsonObject(`{"a":${"[".repeat(501)}${"]".repeat(501)}}`, "x")).toThrow(
    "it is nested deeper than 500 levels",
  );
  expect(() => parseJsonObject('{"a":"\\ud800"}', "x")).toThrow("half a surrogate pair");
  expect(parseJsonObject('{"a":"\\ud83d\\ude00"}', "x")).toEqual({ a: "😀" });
});

/** How searches are read, and what is said of those that cannot be. */

import { expect, test } from "bun:test";
import { CONSUMERS, RESOURCES } from "../../src/lib/search/listed.ts";
import { DEPTH_MAX, parseSearch, TERMS_MAX } from "../../src/lib/search/parse.ts";
import type { Condition, Field } from "../../src/lib/search/tree.ts";

/** A tree as text, to compare it with. */
function show(condition: Condition): string {
  if ("all" in condition) return `(${condition.all.map(show).join(" & ")})`;
  if ("any" in condition) return `(${condition.any.map(show).join(" | ")})`;
  const { field, operator, isNot, values } = condition;
  return `${isNot ? "!" : ""}${showField(field)} ${[operator, ...values].join(" ")}`;
}

const showField = ({ column, path }: Field) => [column, ...path].join("/");
const read = (search: string) => show(parseSearch(RESOURCES, search));
const LABELS = "payload->'metadata'->'labels'";

test.each([
  ["", "()"],
  ["name = 'a'", "name in a"],
  ["  NAME  =  'a'  ", "name in a"],
  ["resources.name='a'", "name in a"],
  ["name = 'it''s'", "name in it's"],
  ["name = 'a\\b'", "name in a\\b"],
  ["name = 5", "name in 5"],
  ["name != 'a'", "!name in a"],
  ["name <> 'a'", "!name in a"],
  ["version <= 2", "version <= 2"],
  ["version < -1.5e3", "version < -1.5e3"],
  ["not version >= 2", "!version >= 2"],
  ["name like 'a%'", "name like a%"],
  ["name NOT LIKE 'a%'", "!name like a%"],
  ["name ilike 'a%' and name not ilike 'b'", "(name ilike a% & !name ilike b)"],
  ["name ~= '^a'", "name regex ^a"],
  ["name ~! '^a'", "!name regex ^a"],
  ["not name ~! '^a'", "name regex ^a"],
  ["name in ('a', 'b',3)", "name in a b 3"],
  ["name not in('a')", "!name in a"],
  ["version between 1 and 3", "version between 1 3"],
  ["version not between 1 and 3 and name='a'", "(!version between 1 3 & name in a)"],
  ["deleted_at is null", "deleted_at null"],
  ["deleted_at IS NOT NULL", "!deleted_at null"],
  ["status is null", "status null"],
  ["payload is not null", "!spec null"],
  ["name='a' or name='b' and version=1", "(name in a | (name in b & version in 1))"],
  ["(name='a' or version=2) and version=1", "((name in a | version in 2) & version in 1)"],
  ["not name='a' and version=1", "(!name in a & version in 1)"],
  ["not (name='a' and version=1)", "(!name in a | !version in 1)"],
  ["not not name='a'", "name in a"],
  ["consumer_name='a' or consumer_name='b' or source='c'", "(consumer_name in a b | source in c)"],
  ["((((name='a'))))", "name in a"],
  ["created_at > '2025-01-01'", "created_at > 2025-01-01 00:00:00.0+00:00"],
  [
    "created_at = '2024-02-29t1:2'".replace("1:2", "01:02"),
    "created_at in 2024-02-29 01:02:00.0+00:00",
  ],
  [
    "updated_at < '2025-01-01T10:11:12.123456-02:30'",
    "updated_at < 2025-01-01 10:11:12.123456-02:30",
  ],
  [`${LABELS}@>'{"a":"b"}'`, 'metadata/labels contains {"a":"b"}'],
  [`${LABELS}->>'a'<>'b'`, "!metadata/labels/a in b"],
  [`${LABELS}->>'a'in('x','y')`, "metadata/labels/a in x y"],
  [`${LABELS}->>'a'not in('x','y')`, "!metadata/labels/a in x y"],
  [`${LABELS}->>'a'<>null`, "!metadata/labels/a in null"],
  [`${LABELS}->>'a'=b-c.d`, "metadata/labels/a in b-c.d"],
  [`${LABELS}->>'a' in (b, c)`, "metadata/labels/a in b c"],
  [`${LABELS}->>'a'='it\\'s' and name='it''s'`, "(metadata/labels/a in it's & name in it's)"],
  [`labels @> '{"a":"\\"\\\\"}'`, 'metadata/labels contains {"a":"\\"\\\\"}'],
  ["labels->>'a' is not null", "!metadata/labels/a null"],
  ["metadata->'annotations'->>'a/b' like 'x%'", "metadata/annotations/a/b like x%"],
  [
    "payload->'data'->'manifests' @> '[{\"kind\":\"Job\"}]'",
    'spec/manifests contains [{"kind":"Job"}]',
  ],
  ["status->'data'->'conditions' is null", "status/conditions null"],
  ["source=s1 and labels->>'a'=1", "(source in s1 & metadata/labels/a in 1)"],
])("%s is read as %s", (search, tree) => {
  expect(read(search)).toBe(tree);
});

test.each([
  ['labels @> \'{"k":"v"}\'', 'labels contains {"k":"v"}'],
  ["labels->>'k' = 'v'", "labels/k in v"],
  ["labels->'k' @> '\"v\"'", 'labels/k contains "v"'],
  ["consumers.name = 'a'", "name in a"],
])("of consumers, %s is read as %s", (search, tree) => {
  expect(show(parseSearch(CONSUMERS, search))).toBe(tree);
});

const FAILED = "Failed to parse search query: ";
const FILTER = "error parsing the filter: unexpected token";

test.each([
  ["garbage", "garbage is not a valid field name; known are id, name, "],
  ["name", `${FAILED}name: [5] unexpected the end, expected an operator`],
  ["name garbage", `${FAILED}name garbage: [6] unexpected \`garbage\`, expected an operator`],
  [
    "name=",
    `${FAILED}name=: [6] unexpected the end, expected a value in single quotes or a number`,
  ],
  ["name=foo", "[6] unexpected `foo`, expected a value in single quotes or a number"],
  ["name='a", "[6] unexpected `'a`, expected a value"],
  ["name='a' and", "[13] unexpected the end, expected a field name, not or ("],
  ["name='a' version=1", "[10] unexpected `version`, expected and, or, or the end"],
  ["(name='a'", "[10] unexpected the end, expected and, or, or )"],
  ["name='a')", "[9] unexpected `)`, expected and, or, or the end"],
  ["name='a'; drop table resources", "[9] unexpected `;`"],
  ["name in ()", "[10] unexpected `)`, expected a value"],
  ["name in ('a' 'b')", "[14] unexpected `'b'`, expected , or )"],
  ["name not = 'a'", "[10] unexpected `=`, expected like, ilike, in or between"],
  ["name is 'a'", "[9] unexpected `'a'`, expected null or not null"],
  ["version between 1", "[18] unexpected the end, expected and"],
  ["1=1", "[1] unexpected `1`, expected a field name, not or ("],
  ["'a'='a'", "[1] unexpected `'a'`, expected a field name"],
  ["payload='a'", "[8] unexpected `=`, expected ->, ->>, @> or is"],
  ["version = 'a'", "[11] unexpected `'a'`, expected a number"],
  ["version = 1e999", "[11] unexpected `1e999`, expected a number"],
  ["version like '1%'", "[9] unexpected `like`, expected an operator"],
  ["created_at > 'soon'", "[14] unexpected `'soon'`, expected a time such as '2026-01-31'"],
  ["created_at > '2025-02-29'", "expected a time"],
  ["created_at > '2025-01-01T25:00:00Z'", "expected a time"],
  ["created_at > '0000-01-01'", "expected a time"],
  ["created_at > '2025-01-01T00:00:00+99:00'", "expected a time"],
  ["created_at ~= '2025'", "[12] unexpected `~=`, expected an operator"],
  ["name like 'a\\'", "expected a pattern that ends in no backslash"],
  ["name ~= '(a)\\1'", "expected an expression without back-references"],
  ["name ~= '(?=a)'", "expected an expression that does not look around"],
  [`name ~= '${"a".repeat(201)}'`, "expected an expression of up to 200 characters"],
  ["name = 'a\0b'", "expected a text without \\u0000"],
  ["no.such.column = 'a'", "no.such.column is not a valid field name"],
  ["events.id = 'a'", "events.id is not a related resource of Resource"],
  ["consumers.name = 'a'", "consumers.name is not a related resource of Resource"],
  ["constructor = 'a'", "constructor is not a valid field name"],
  ["name->>'a' = 'b'", "name holds no document, so -> leads nowhere"],
  [
    "payload->'spec'->>'a' = 'b'",
    "payload has no member 'spec' here; known: 'metadata' and 'data'",
  ],
  ["payload->>'data' = 'b'", "payload->>'data' is no text; use ->"],
  [`${LABELS}@>'{"a"'`, `[32] ${FILTER} \`'{"a"'\`, expected JSON`],
  [`${LABELS}@>'1e999'`, "expected JSON without"],
  [`${LABELS}->>'a' > 'b'`, `[37] ${FILTER} \`>\`, expected =, <>, in, like, ilike, ~=, ~! or is`],
  [`${LABELS}->>a = 'b'`, "[33] error parsing the filter: unexpected token `a`, expected a key"],
  [`${LABELS}->'a' = 'b' and ${LABELS}->>'a'='b'`, "expected ->, ->>, @> or is"],
  [`source='s' ${LABELS}->>'a'='b'`, `[12] ${FILTER} \`payload\`, expected and, or, or the end`],
])("%s is refused: %s", (search, reason) => {
  expect(() => read(search)).toThrow(reason);
});

test("how much may be asked at once is limited", () => {
  const names = (count: number) => Array.from({ length: count }, () => "1").join();

  expect(read(`version in (${names(TERMS_MAX)})`)).toStartWith("version in 1 1 1");
  expect(() => read(`version in (${names(TERMS_MAX + 1)})`)).toThrow(
    "failed to parse the search query: maximum number of permitted joins (1000) exceeded",
  );
  expect(() => read(Array.from({ length: TERMS_MAX + 1 }, () => "id=1").join(" or "))).toThrow(
    "maximum number of permitted joins",
  );
  expect(read(`${"(".repeat(DEPTH_MAX)}id=1${")".repeat(DEPTH_MAX)}`)).toBe("id in 1");
  expect(() => read(`${"(".repeat(DEPTH_MAX + 1)}id=1`)).toThrow("no more than 50 parentheses");
  expect(() => read(`${"not ".repeat(19_000)}id=1`)).toThrow(/no more than 50|more than 20000/);
  expect(() => read(`id='${"a".repeat(20_000)}'`)).toThrow("it has more than 20000 characters");
});

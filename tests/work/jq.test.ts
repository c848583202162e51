/** jq's language, compared with what jq itself gives, and what bounds a program. */

import { expect, test } from "bun:test";
import { parseJson } from "../../src/lib/json.ts";
import { runJq } from "../../src/lib/work/jq/run.ts";

const INPUT = '{"list":[3,1,2,[4,[5]]],"text":"a,b, c","n":null,"big":9007199254740993,"x":1.5,' +
  '"labels":{"a.b/c":"x","d":"y"},"pods":[{"name":"app","env":[{"name":"A"},{"name":"B"}]},{"name":"proxy"}]}';

function run(source: string): string {
  return runJq(source, parseJson(INPUT)).map((value) => JSON.stringify(value)).join(" ");
}

test.each([
  [".big", "9007199254740993"],
  [".big == 9007199254740993, .big > 9007199254740992", "true true"],
  ['.labels["a.b/c"], .labels."a.b/c"', '"x" "x"'],
  [".list[1:3], .list[-1], .list[:1]", "[1,2] [4,[5]] [3]"],
  ["[.list[] | numbers] | sort, add, min, max", "[1,2,3] 6 1 3"],
  [".list | flatten, flatten(1)", "[3,1,2,4,5] [3,1,2,4,[5]]"],
  ["del(.list[0, 2]).list", "[1,[4,[5]]]"],
  ["del(.list[1:3]).list", "[3,[4,[5]]]"],
  ['del(.pods[] | select(.name | test("^pr")) | .name).pods[1]', "{}"],
  ["del(.pods[].env[]?.name).pods[0].env", "[{},{}]"],
  ['del(.. | select(. == null)) | has("n")', "false"],
  ["del(.none.at.all) == .", "true"],
  ["del(empty) == .", "true"],
  ["del(.list[0], .list[0]).list, del(.list[0:2], .list[1]).list", "[1,2,[4,[5]]] [2,[4,[5]]]"],
  ['del(.pods[] | select(.name | IN("app", "x"))).pods', '[{"name":"proxy"}]'],
  [".list[0] |= empty | .list", "[1,2,[4,[5]]]"],
  ['.text | split(", *"; null)', '["a","b","c"]'],
  ['.text | gsub(", *"; "-"), sub("(?<x>b)"; "<\\(.x)>")', '"a-b-c" "a,<b>, c"'],
  [
    '[.text | scan("[a-z]")], (.text | capture("(?<f>.),(?<s>.)"))',
    '["a","b","c"] {"f":"a","s":"b"}',
  ],
  ["reduce .list[:3][] as $x (0; . + $x)", "6"],
  ["[foreach .list[:3][] as $x (0; . + $x; [$x, .])]", "[[3,3],[1,4],[2,6]]"],
  [". as {list: [$a, $b]} | $a + $b", "4"],
  ["[.list[:2][] as [$a] ?// $a | $a]", "[3,1]"],
  ["def f($x; g): $x + g; f(1, 2; 10, 20)", "11 21 12 22"],
  ["def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 5 | fac", "120"],
  ["label $out | 1, break $out, 2", "1"],
  ['try error("x") catch ., try error({a: 1}) catch .a', '"x" 1'],
  ['[.list[] | .a?], (.n // "none"), (.n // .x // 1)', '[] "none" 1.5'],
  ['"a\\(1 + 1)b", @base64 "\\("hi")", ("aGk=" | @base64d)', '"a2b" "aGk=" "hi"'],
  [".list |= map(numbers) | .list", "[3,1,2]"],
  [".pods[].name |= ascii_upcase | [.pods[].name]", '["APP","PROXY"]'],
  [".x += 1 | .x", "2.5"],
  ['walk(if type == "object" then del(.env) else . end).pods', '[{"name":"app"},{"name":"proxy"}]'],
  ['.labels | with_entries(.value += "!")', '{"a.b/c":"x!","d":"y!"}'],
  [
    '[.pods[] | .name] | group_by(length > 3), unique, index("proxy")',
    '[["app"],["proxy"]] ["app","proxy"] 1',
  ],
  ['[paths(type == "string")] | length', "7"],
  ["[limit(2; .list[])], first(range(10; 0; -3)), isempty(empty)", "[3,1] 10 true"],
  ['{("a", "b"): 1}', '{"a":1} {"b":1}'],
])("%s gives %s", (source, expected) => {
  expect(run(source)).toBe(expected);
});

test.each([
  ["(", "unexpected end of the program"],
  [".a | | .b", 'unexpected token "|"'],
  ["nothing", "function not defined: nothing/0"],
  ["[] | .[] | nothing(1)", "function not defined: nothing/1"],
  [".none[]? | break $out", "label not defined: $out"],
  ['try @odd "x" catch 1', "format not defined: @odd"],
  ["$x", "variable not defined: $x"],
  [".text.x", 'cannot index string with "x"'],
  [".n[]", "cannot iterate over null (null)"],
  ["del(paths)", "invalid path expression with result array"],
  ["del(1)", "invalid path expression with result number (1)"],
  ["{} + 1", "object ({}) and number (1) cannot be added"],
  ['"a" | test("(")', "is not a valid regex: error parsing regexp"],
])("%s fails: %s", (source, problem) => {
  expect(() => run(source)).toThrow(problem);
});

test.each([
  ["[range(1e12)]", /too many steps|timeout/],
  ["def f: f; f", "too much memory"],
  ["[limit(1e9; repeat(1))]", /too many steps|too much memory|timeout/],
  ['"a" * 1e9', "too large"],
  ['reduce range(60) as $i ("aaaaaaaaaa"; . + .)', "too large"],
  [".list[1e9] = 1", "too large"],
  [`${"(".repeat(5_000)}.`, "nests too deeply"],
])("%s ends: %s", (source, problem) => {
  expect(() => run(source)).toThrow(problem);
});

test("a program has so many steps, however fast they are", () => {
  expect(() => runJq("[range(100)]", null, { stepsMax: 50 })).toThrow("too many steps");
});

test("a program has a second, however few its steps are", () => {
  expect(() => runJq("[range(1e6)] | length", null, { elapsedMsMax: -1 })).toThrow("timeout");
});

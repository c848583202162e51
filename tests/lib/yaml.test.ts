/** YAML as kubectl reads it: the dialect of go-yaml, with every digit kept. */

import { expect, test } from "bun:test";
import { canonicalJson } from "../../src/lib/json.ts";
import { parseYaml } from "../../src/lib/yaml.ts";

const parse = (text: string) => parseYaml(text, "it").map(canonicalJson).join(" ");

const READ: [yaml: string, json: string][] = [
  ["a: 9007199254740993", '{"a":9007199254740993}'],
  ["a: -123456789012345678901234567890", '{"a":-123456789012345678901234567890}'],
  ["a: 1.0", '{"a":1.0}'],
  ["a: 1e400", '{"a":1e400}'],
  ["a: .5", '{"a":0.5}'],
  ["a: 1.", '{"a":1}'],
  ["a: +12", '{"a":12}'],
  ["a: -0", '{"a":0}'],
  ["a: 0644", '{"a":420}'],
  ["a: 0o17", '{"a":15}'],
  ["a: 0x1F", '{"a":31}'],
  ["a: 0xffff_ffff_ffff_ffff", '{"a":18446744073709551615}'],
  [
    "a: 0x52908400098527886E0F7030069857D2E4169EE7",
    '{"a":"0x52908400098527886E0F7030069857D2E4169EE7"}',
  ],
  ["a: -0x8000000000000000", '{"a":-9223372036854775808}'],
  ["a: -0x8000000000000001", '{"a":"-0x8000000000000001"}'],
  [`a: 0x${"0".repeat(70)}1F`, '{"a":31}'],
  ["a: 02000000000000000000000", '{"a":2000000000000000000000}'],
  ["a: 0o2000000000000000000000", '{"a":"0o2000000000000000000000"}'],
  [`a: 0b1${"0".repeat(64)}`, `{"a":"0b1${"0".repeat(64)}"}`],
  ["a: 0b101", '{"a":5}'],
  ["a: 1_000", '{"a":1000}'],
  ["a: 00", '{"a":0}'],
  ["a: yes\nb: Off\nc: TRUE", '{"a":true,"b":false,"c":true}'],
  ["a: 'yes'\nb: \"1\"\nc: !!str 2", '{"a":"yes","b":"1","c":"2"}'],
  ["a: ~\nb:\nc: Null", '{"a":null,"b":null,"c":null}'],
  ["a: ''", '{"a":""}'],
  ["a: 22:22", '{"a":"22:22"}'],
  ["a: 2020-01-01", '{"a":"2020-01-01"}'],
  ["a: 1.2.3", '{"a":"1.2.3"}'],
  ["a: _1", '{"a":"_1"}'],
  ["a: v1", '{"a":"v1"}'],
  ["a: |\n  x\n  y\nb: >-\n  x\n  y", '{"a":"x\\ny\\n","b":"x y"}'],
  ["8080: x\non: z", '{"8080":"x","true":"z"}'],
  ["a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", '{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}'],
  ["__proto__: {a: 1}", '{"__proto__":{"a":1}}'],
  ["---\n# nothing\n---\na: 1\n---\n- b\n...\n", '{"a":1} ["b"]'],
  ["", ""],
  ['{"a": [1, true, null, "x"]}', '{"a":[1,true,null,"x"]}'],
];

for (const [yaml, json] of READ) {
  test(`YAML ${JSON.stringify(yaml)} is ${json || "nothing"}`, () => {
    expect(parse(yaml)).toBe(json);
  });
}

const thousand = (one: string) => `[${Array(1_000).fill(one).join(",")}]`;
const REFUSED: [what: string, yaml: string, reason: RegExp][] = [
  ["a key that comes twice", "a: 1\na: 2", /duplicated mapping key \(2:1\)/],
  ["a list that does not end", "a: [1", /\(1:6\)$/],
  ["infinity", "a: .inf", /^Cannot read it: "\.inf" is no number that JSON has/],
  ["a tag of its own", "a: !ruby x", /unknown scalar tag/],
  ["binary data", "a: !!binary aGk=", /unknown scalar tag/],
  ["a list as a key", "? [a]\n: b", /a key must be a text/],
  ["U+0000", 'a: "\\0"', /^Cannot read it: it contains \\u0000$/],
  ["half a surrogate pair", 'a: "\\ud800"', /half a surrogate pair/],
  ["a thousand levels", "[".repeat(1_000) + "]".repeat(1_000), /depth|deep/i],
  ["a hundred thousand levels", "[".repeat(100_000), /depth|deep/i],
  [
    "aliases of aliases",
    `a: &a ${thousand("x")}\nb: &b ${thousand("*a")}\nc: ${thousand("*b")}`,
    /^Cannot read it: it is larger than \d+ characters$/,
  ],
  ["an alias of itself", "a: &a [*a]", /alias|deep/],
  ["an alias of nothing", "a: *b", /unidentified alias "b"/],
];

for (const [what, yaml, reason] of REFUSED) {
  test(`YAML with ${what} is refused`, () => {
    expect(() => parse(yaml)).toThrow(reason);
  });
}

/** Regular expressions in RE2's syntax, compared with what Go finds. */

import { expect, test } from "bun:test";
import { compileRegex, findAll } from "../../src/lib/work/regex/match.ts";

const free = () => {};

test.each([
  ["a+b", "xaab", "aab"],
  ["(a|ab)(c|bcd)(d*)", "abcd", "abcd a bcd "],
  ["^v[0-9]+(\\.[0-9]+)*$", "v1.2.3", "v1.2.3 .3"],
  ["(?i)hello", "say HeLLo", "HeLLo"],
  ["(?i:h)ello", "Hello", "Hello"],
  ["\\bfoo\\b", "a foo b", "foo"],
  ["[^a-c]+", "abcdef", "def"],
  ["(?P<y>\\d{4})-(?P<m>\\d\\d)", "on 2026-11", "2026-11 2026 11"],
  ["a{2,3}?", "aaaa", "aa"],
  ["a{2,3}", "aaaa", "aaa"],
  ["(?U)a+", "aaa", "a"],
  ["[[:alpha:]_]+", "12ab_c", "ab_c"],
  ["[\\d\\-]+", "x1-2", "1-2"],
  ["\\p{Lu}+", "abCDe", "CD"],
  ["\\p{Greek}", "aλ", "λ"],
  ["\\Qa.b\\E", "axb a.b", "a.b"],
  ["\\x41\\x{42}", "AB", "AB"],
  [".", "😀", "😀"],
  ["(?s).+", "a\nb", "a\nb"],
  ["(?m)^b$", "a\nb\nc", "b"],
  ["x|", "a", ""],
  ["(a*)*b", "xaab", "aab aa"],
  ["(a|a|a)*$", "aaaa", "aaaa a"],
])("%s in %s finds %s", (pattern, text, expected) => {
  const found = compileRegex(pattern).find(text, 0, free);
  const parts = [found, ...found?.groups ?? []].map((range) =>
    range === undefined ? "" : text.slice(range.start, range.end)
  );
  expect(parts.join(" ")).toBe(expected);
});

test.each([
  ["a(b", "missing closing ): `a(b`"],
  ["a)", "unexpected ): `a)`"],
  ["[a", "missing closing ]"],
  ["*a", "missing argument to repetition operator: `*`"],
  ["a**", "invalid nested repetition operator: `**`"],
  ["a{1001}", "invalid repeat count: `{1001}`"],
  ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
  ["\\8", "invalid escape sequence: `\\8`"],
  ["((a{1000}){1000}){1000}", "expression too large"],
  ["(".repeat(1_000), "expression nests too deeply"],
])("%s is refused: %s", (pattern, problem) => {
  expect(() => compileRegex(pattern)).toThrow(`error parsing regexp: ${problem}`);
});

test("all matches do not overlap, and an empty one does not follow another", () => {
  const found = findAll(compileRegex("a*"), "baaac", Infinity, free);
  expect(found.map(({ start, end }) => [start, end])).toEqual([[0, 0], [1, 4], [5, 5]]);
});

test("a search takes steps in proportion to the text, whatever the pattern", () => {
  const stepsFor = (length: number) => {
    let steps = 0;
    compileRegex("(a+)+$").find(`${"a".repeat(length)}b`, 0, (more) => steps += more);
    return steps;
  };
  expect(stepsFor(2_000)).toBeLessThan(2.1 * stepsFor(1_000));
});

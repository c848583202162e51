/** Kubernetes' functions of CEL, and what bounds an expression. The language itself: cel_conformance.test.ts. */

import { expect, test } from "bun:test";
import { type JsonObject, parseJson } from "../../src/lib/json.ts";
import { Meter, type MeterOptions } from "../../src/lib/work/cel/meter.ts";
import { compileCel } from "../../src/lib/work/cel/program.ts";
import { CelError, fromJson, Optional, type Value } from "../../src/lib/work/cel/values.ts";

const object = parseJson(
  '{"kind":"Thing","spec":{"big":9007199254740993,"half":0.5,"one":1.0},"status":{"n":3,"nul":null,' +
    '"conditions":[{"type":"Ready","status":"True"}],"addresses":["10.0.0.1","::1"]}}',
) as JsonObject;

function evaluate(source: string, limits?: MeterOptions): Value {
  return compileCel(source, ["object"]).evaluate({ object: fromJson(object) }, new Meter(limits));
}

/** The result, or the message of the error. */
function outcome(source: string, limits?: MeterOptions): unknown {
  try {
    const value = evaluate(source, limits);
    return value instanceof Optional ? value.value : value;
  } catch (error) {
    if (error instanceof CelError) return error.message;
    throw error;
  }
}

test.each([
  ["[1, 2, 2, 3].isSorted() && !['b', 'a'].isSorted()"],
  ["[1, 3].sum() == 4 && [1.0, 3.0].sum() == 4.0 && [].sum() == 0"],
  ["[2, 1, 3].min() == 1 && ['b', 'a'].max() == 'b'"],
  ["[1, 2, 2, 3].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && [1].indexOf(9) == -1"],
  ["'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == ''"],
  ["'123 abc 456'.findAll('[0-9]+') == ['123', '456']"],
  ["'123 abc 456'.findAll('[0-9]*', 1) == ['123'] && 'abc'.findAll('[0-9]', 0) == []"],
  ["url('https://example.com:80/a b?k=1&k=2').getHost() == 'example.com:80'"],
  ["url('https://[::1]:80/').getHostname() == '::1' && url('https://x/').getPort() == ''"],
  ["url('https://x:8080/').getPort() == '8080' && url('/path').getScheme() == ''"],
  ["url('https://x/with space/').getEscapedPath() == '/with%20space/'"],
  ["url('https://x/?k=1&k=2&l').getQuery() == {'k': ['1', '2'], 'l': ['']}"],
  ["isURL('https://x') && isURL('/rooted') && !isURL('../relative') && !isURL('https://a:b:c/')"],
  ["quantity('500000G').compareTo(quantity('500T')) == 0 && quantity('1.5Gi').isInteger()"],
  ["quantity('50k') == quantity('50000') && quantity('-1').sign() == -1"],
  ["quantity('50k').add('20k' == '' ? quantity('1') : quantity('20k')) == quantity('70k')"],
  ["quantity('50k').sub(20000) == quantity('30k') && quantity('1m').isLessThan(quantity('1'))"],
  ["quantity('50000000G').asInteger() == 50000000000000000"],
  ["quantity('50.703k').asApproximateFloat() == 50703.0 && !quantity('0.1').isInteger()"],
  ["isQuantity('1.3Gi') && isQuantity('1e3') && !isQuantity('1,3') && !isQuantity('200Kx')"],
  ["ip('192.168.0.1').family() == 4 && ip('::1').family() == 6 && ip('::1').isLoopback()"],
  ["isIP('::ffff') && !isIP('::ffff:1.2.3.4') && !isIP('01.2.3.4') && !isIP('1.2.3')"],
  ["ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')"],
  ["!ip.isCanonical('2001:db8:0:0:0:0:0:abcd') && string(ip('2001:0:0:1::')) == '2001:0:0:1::'"],
  ["ip('fe80::1').isLinkLocalUnicast() && ip('ff02::1').isLinkLocalMulticast()"],
  ["ip('0.0.0.0').isUnspecified() && ip('10.1.2.3').isGlobalUnicast()"],
  ["!ip('255.255.255.255').isGlobalUnicast() && ip('127.0.0.1') == ip('127.0.0.1')"],
  ["cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('10.0.0.0/8').containsIP(ip('::1'))"],
  ["cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')"],
  ["!cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/16'))"],
  ["string(cidr('192.168.1.5/24').masked()) == '192.168.1.0/24'"],
  ["cidr('::1/128').ip() == ip('::1') && cidr('::1/128').prefixLength() == 128"],
  ["isCIDR('::/0') && !isCIDR('1.2.3.4/33') && !isCIDR('1.2.3.4')"],
  ["!format.dns1123Label().validate('my-name').hasValue()"],
  ["format.named('dns1123Label').value().validate('My').value()[0].startsWith('a lowercase RFC')"],
  ["!format.named('none').hasValue() && !format.uuid().validate('x').orValue(['no']).exists(e, e == '')"],
  ["format.dns1123Subdomain().validate('a.b-c').orValue([]) == []"],
  ["format.labelValue().validate('').orValue([]).size() == 0"],
  ["format.qualifiedName().validate('a.b/c').orValue([]) == [] && format.date().validate('2026-02-30').hasValue()"],
  ["semver('1.2.3').major() == 1 && semver('1.2.3-rc.1').isLessThan(semver('1.2.3'))"],
  ["semver('1.10.0').isGreaterThan(semver('1.9.0')) && semver('1.0.0+a') == semver('1.0.0+b')"],
  ["!isSemver('v1.0') && isSemver('v1.0', true) && semver('v01.2', true).compareTo(semver('1.2.0')) == 0"],
  ["hasConditions(object.status) && !hasConditions(object.spec) && !hasConditions('x')"],
  ["object.spec.big == 9007199254740993 && type(object.spec.big) == int"],
  ["type(object.spec.one) == double && type(object.status.n) == int && object.spec.half < 1"],
  ["object.?spec.?none.orValue('x') == 'x' && object.?status.?n.hasValue()"],
  ["!has(object.status.n.x) && !object.status.?n.?x.hasValue()"],
  ["sign(quantity('-1')) == -1 && duration('1.5s').getMilliseconds() == 1500"],
  ["!has(object.spec.none) && has(object.status.nul) && object.status.nul == null"],
  ["object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')"],
  ["object.status.addresses.all(a, isIP(a))"],
])("true: %s", (source) => {
  expect(outcome(source)).toBeTrue();
});

test.each([
  ["object.spec.x == 1", "no such key: x"],
  ["object.status.n.x", "no such key: x"],
  ["object.status.nul.x", "no such key: x"],
  ["object.status.addresses.x", "unsupported index type 'string' in list"],
  ["object.status.n.all(x, true)", "got 'types.Int', expected iterable type"],
  ["object.status.addresses[7]", "index out of bounds: 7"],
  ["object.status.n + 'a'", "no such overload"],
  ["1 / 0 == 1", "division by zero"],
  ["9223372036854775807 + 1 > 0", "integer overflow"],
  [
    "objekt.x",
    "ERROR: <input>:1:1: undeclared reference to 'objekt' (in container '')\n | objekt.x\n | ^",
  ],
  ["frobnicate(1)", /^ERROR: <input>:1:11: undeclared reference to 'frobnicate' .* \| \.{10}\^$/s],
  [
    "object.matches()",
    /^ERROR: <input>:1:15: found no matching overload for 'matches' applied to 'dyn.\(\)'/,
  ],
  ["object.status.", /^ERROR: <input>:1:15: Syntax error: mismatched input '<EOF>'/],
  ["'a'.matches('(')", "error parsing regexp: missing closing ): `(`"],
  ["quantity('x').sign()", /^quantities must match the regular expression/],
])("an error: %s", (source, message) => {
  const found = outcome(source);
  expect(found).toEqual(typeof message === "string" ? message : expect.stringMatching(message));
});

/** Of one expression, or of all that are about an object. */
const EXCEEDED =
  /^(operation cancelled: actual cost limit exceeded|CEL evaluation budget exceeded)$/;
const TEN = "[0,1,2,3,4,5,6,7,8,9]";
const [HUNDRED, THOUSAND] = ["a".repeat(100), "a".repeat(1_000)];
const nest = (depth: number, body: string): string =>
  depth === 0 ? body : `${TEN}.all(v${depth}, ${nest(depth - 1, body)})`;

test.each([
  ["nested loops", nest(9, "true")],
  [
    "a search that follows many ways",
    `['${THOUSAND}'.replace('a', '${"a".repeat(10)}')].all(t, ${
      nest(2, "!t.matches('(a?){20}b')")
    })`,
  ],
  ["texts that grow", `${nest(6, "'a'.replace('a', 'aaaaaaaaaa').size() > 0")}`],
  [
    "a text that doubles",
    Array.from({ length: 24 }, () => "").reduce((s) => `[${s}].map(x, x + x)[0]`, "'aaaaaaaaaa'") +
    " != ''",
  ],
  [
    "a list that doubles",
    Array.from({ length: 24 }, () => "").reduce((s) => `[${s}].map(x, x + x)[0]`, TEN) +
    ".size() > 0",
  ],
  [
    "a text that replacing makes huge",
    `['${THOUSAND}'.replace('a', '${HUNDRED}')].all(b, b.replace('a', b) != '')`,
  ],
  ["a format", nest(6, "'%.100f'.format([1.0]) != ''")],
])("%s end at the budget", (_, source) => {
  // By its steps alone, whatever time they take.
  expect(outcome(source, { elapsedMsMax: Infinity })).toMatch(EXCEEDED);
});

test("a budget is never absorbed, and time is one as well", () => {
  expect(outcome("object.status.n == 3 || true", { expressionCostMax: 1 })).toMatch(EXCEEDED);
  expect(outcome(nest(4, "true"), { elapsedMsMax: -1 })).toMatch(EXCEEDED);
  expect(outcome(nest(4, "true"))).toBeTrue();
});

test("all expressions about one object share a budget", () => {
  const meter = new Meter({ objectCostMax: 9_000 });
  const program = compileCel(nest(3, "true"), ["object"]);
  const run = () => program.evaluate({ object: fromJson(object) }, meter);

  run();

  expect(run).toThrow(EXCEEDED);
});

test("an expression that nests without end is refused, not followed", () => {
  expect(outcome("(".repeat(5_000) + "1" + ")".repeat(5_000))).toContain(
    "recursion limit exceeded",
  );
  expect(outcome("!".repeat(5_000) + "true")).toContain("recursion limit exceeded");
  expect(outcome(`'${"a".repeat(200_000)}'`)).toContain("size exceeds limit");
  expect(outcome(`${"1 + ".repeat(20_000)}1 > 0`)).toContain("recursion limit exceeded");
  expect(outcome(`object${".a".repeat(20_000)}`)).toContain("recursion limit exceeded");
});

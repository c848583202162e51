/** Kubernetes' functions of semantic versions. */

import { func, method, type Overload } from "./functions.ts";
import { CelError, type Opaque } from "./values.ts";

class Semver implements Opaque {
  readonly typeName = "kubernetes.Semver";

  constructor(readonly core: readonly [bigint, bigint, bigint], readonly pre: readonly string[]) {}

  isEqual(other: unknown): boolean {
    return other instanceof Semver && compare(this, other) === 0n;
  }
}

const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const UINT64_MAX = 2n ** 64n - 1n;

function parse(text: string): Semver | undefined {
  const [, major, minor, patch, pre] = SEMVER.exec(text) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return undefined;
  const core = [BigInt(major), BigInt(minor), BigInt(patch)] as const;
  if (core.some((part) => part > UINT64_MAX)) return undefined;
  const labels = pre?.split(".") ?? [];
  if (labels.some((label) => /^0\d+$/.test(label))) return undefined;
  return new Semver(core, labels);
}

/** `v1.02` as `1.2.0`: without its `v`, with all three numbers, none with a zero in front. */
function normalize(text: string): string {
  const [, version = "", rest = ""] = /^v?([^-+]*)(.*)$/s.exec(text) ?? [];
  const parts = version.split(".").map((part) => part.replace(/^0+(?=\d)/, ""));
  while (parts.length < 3) parts.push("0");
  return parts.join(".") + rest;
}

function compare(a: Semver, b: Semver): bigint {
  for (const index of [0, 1, 2] as const) {
    if (a.core[index] !== b.core[index]) return a.core[index] < b.core[index] ? -1n : 1n;
  }
  if (a.pre.length === 0 || b.pre.length === 0) {
    return BigInt(Number(a.pre.length === 0) - Number(b.pre.length === 0));
  }
  for (let index = 0; index < Math.max(a.pre.length, b.pre.length); index++) {
    const order = compareLabels(a.pre[index], b.pre[index]);
    if (order !== 0n) return order;
  }
  return 0n;
}

function compareLabels(a: string | undefined, b: string | undefined): bigint {
  if (a === undefined || b === undefined) return a === b ? 0n : a === undefined ? -1n : 1n;
  const [left, right] = [a, b].map((label) => /^\d+$/.test(label) ? BigInt(label) : label);
  if (typeof left !== typeof right) return typeof left === "bigint" ? -1n : 1n;
  return left === right ? 0n : (left as bigint) < (right as bigint) ? -1n : 1n;
}

function semver(text: string): Semver {
  const found = parse(text);
  if (found === undefined) throw new CelError(`Invalid Semver: ${JSON.stringify(text)}`);
  return found;
}

const TYPE = "kubernetes.Semver";
const given = (text: string, isLoose: boolean) => isLoose ? normalize(text) : text;

/** `semver(x)` and what can be asked of it. */
export const semverFunctions: readonly Overload[] = [
  func("semver", "string", semver),
  func("semver", "string,bool", (text: string, isLoose: boolean) => semver(given(text, isLoose))),
  func("isSemver", "string", (text: string) => parse(text) !== undefined),
  func(
    "isSemver",
    "string,bool",
    (text: string, isLoose: boolean) => parse(given(text, isLoose)) !== undefined,
  ),
  method("major", TYPE, ({ core }: Semver) => core[0]),
  method("minor", TYPE, ({ core }: Semver) => core[1]),
  method("patch", TYPE, ({ core }: Semver) => core[2]),
  method("isLessThan", `${TYPE},${TYPE}`, (a: Semver, b: Semver) => compare(a, b) < 0n),
  method("isGreaterThan", `${TYPE},${TYPE}`, (a: Semver, b: Semver) => compare(a, b) > 0n),
  method("compareTo", `${TYPE},${TYPE}`, compare),
];

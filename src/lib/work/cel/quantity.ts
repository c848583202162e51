/** Kubernetes' quantities: `500m`, `1.5Gi`, `12e6`, exactly. */

import { func, method, type Overload } from "./functions.ts";
import { CelError, int64, type Opaque } from "./values.ts";

/** Nano is the smallest unit; what is smaller is rounded up. */
const SCALE = 1_000_000_000n;

class Quantity implements Opaque {
  readonly typeName = "kubernetes.Quantity";

  constructor(readonly nanos: bigint) {}

  isEqual(other: unknown): boolean {
    return other instanceof Quantity && other.nanos === this.nanos;
  }
}

const DECIMAL: Record<string, number> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const BINARY: Record<string, bigint> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

/** Larger exponents would make numbers that take seconds to write. */
const EXPONENT_MAX = 40;

function parse(text: string): Quantity | undefined {
  const found = /^([+-]?)(\d+)?(?:\.(\d*))?([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]?)$/.exec(text);
  if (found === null) return undefined;
  const [, sign, whole = "", part = "", suffix = ""] = found;
  if (whole === "" && part === "" || whole.length + part.length > 100) return undefined;
  const digits = BigInt(`${whole}${part}`);
  const binary = BINARY[suffix];
  const power = DECIMAL[suffix] ?? (binary === undefined ? Number(suffix.slice(1)) : 0);
  if (Math.abs(power) > EXPONENT_MAX) return undefined;
  const exponent = power - part.length;
  let nanos = digits * SCALE * (binary === undefined ? 1n : 1n << binary);
  if (exponent >= 0) nanos *= 10n ** BigInt(exponent);
  else {
    const divisor = 10n ** BigInt(-exponent);
    nanos = (nanos + divisor - 1n) / divisor;
  }
  return new Quantity(sign === "-" ? -nanos : nanos);
}

function quantity(text: string): Quantity {
  const found = parse(text);
  if (found !== undefined) return found;
  throw new CelError(
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  );
}

const TYPE = "kubernetes.Quantity";
const whole = (value: bigint) => new Quantity(value * SCALE);
const sign = (value: bigint) => value > 0n ? 1n : value < 0n ? -1n : 0n;

function asInteger({ nanos }: Quantity): bigint {
  if (nanos % SCALE !== 0n) throw new CelError("cannot convert value to integer");
  return int64(nanos / SCALE, "cannot convert value to integer");
}

function isInteger({ nanos }: Quantity): boolean {
  return nanos % SCALE === 0n && BigInt.asIntN(64, nanos / SCALE) === nanos / SCALE;
}

/** `quantity(x)` and what can be done with it. */
export const quantityFunctions: readonly Overload[] = [
  func("quantity", "string", quantity),
  func("isQuantity", "string", (text: string) => parse(text) !== undefined),
  func("sign", TYPE, ({ nanos }: Quantity) => sign(nanos)),
  method("sign", TYPE, ({ nanos }: Quantity) => sign(nanos)),
  method("isInteger", TYPE, isInteger),
  method("asInteger", TYPE, asInteger),
  method(
    "asApproximateFloat",
    TYPE,
    ({ nanos }: Quantity) =>
      nanos % SCALE === 0n ? Number(nanos / SCALE) : Number(nanos) / Number(SCALE),
  ),
  method("add", `${TYPE},${TYPE}`, (a: Quantity, b: Quantity) => new Quantity(a.nanos + b.nanos)),
  method("add", `${TYPE},int`, (a: Quantity, b: bigint) => new Quantity(a.nanos + whole(b).nanos)),
  method("sub", `${TYPE},${TYPE}`, (a: Quantity, b: Quantity) => new Quantity(a.nanos - b.nanos)),
  method("sub", `${TYPE},int`, (a: Quantity, b: bigint) => new Quantity(a.nanos - whole(b).nanos)),
  method("isLessThan", `${TYPE},${TYPE}`, (a: Quantity, b: Quantity) => a.nanos < b.nanos),
  method("isGreaterThan", `${TYPE},${TYPE}`, (a: Quantity, b: Quantity) => a.nanos > b.nanos),
  method("compareTo", `${TYPE},${TYPE}`, (a: Quantity, b: Quantity) => sign(a.nanos - b.nanos)),
];

/** Points in time and lengths of time, to the nanosecond. */

import { CelError, type Opaque } from "./values.ts";

const SECOND = 1_000_000_000n;
/** From the year 1 to the year 9999. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;
const DURATION_MAX = 2n ** 63n - 1n;

/** A point in time. */
export class Timestamp implements Opaque {
  readonly typeName = "google.protobuf.Timestamp";

  constructor(readonly nanos: bigint) {
    const seconds = floorDivide(nanos, SECOND);
    if (seconds < FIRST_SECOND || seconds > LAST_SECOND) throw new CelError("timestamp overflow");
  }

  get seconds(): bigint {
    return floorDivide(this.nanos, SECOND);
  }

  get milliseconds(): number {
    return Number(floorDivide(this.nanos, 1_000_000n));
  }

  isEqual(other: unknown): boolean {
    return other instanceof Timestamp && other.nanos === this.nanos;
  }

  toString(): string {
    const whole = new Date(Number(this.seconds) * 1000).toISOString().slice(0, 19);
    return `${whole}${fraction(this.nanos - this.seconds * SECOND)}Z`;
  }
}

/** A length of time. */
export class Duration implements Opaque {
  readonly typeName = "google.protobuf.Duration";

  constructor(readonly nanos: bigint) {
    if (nanos > DURATION_MAX || nanos < -DURATION_MAX - 1n) throw new CelError("duration overflow");
  }

  isEqual(other: unknown): boolean {
    return other instanceof Duration && other.nanos === this.nanos;
  }

  toString(): string {
    const size = this.nanos < 0n ? -this.nanos : this.nanos;
    return `${this.nanos < 0n ? "-" : ""}${size / SECOND}${fraction(size % SECOND)}s`;
  }
}

function floorDivide(value: bigint, by: bigint): bigint {
  return value / by - (value % by < 0n ? 1n : 0n);
}

function fraction(nanos: bigint): string {
  return nanos === 0n ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
}

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/;

/** Reads RFC 3339. Throws a `CelError`. */
export function parseTimestamp(text: string): Timestamp {
  const found = RFC3339.exec(text);
  const [, year, month, day, hour, minute, second, part = "", zone = "Z"] = found ?? [];
  const local = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // The engine takes the 31st of every month.
  const isDay = !Number.isNaN(local) && new Date(local).getUTCDate() === Number(day);
  if (found === null || !isDay) {
    throw new CelError(`type conversion error from 'string' to 'google.protobuf.Timestamp'`);
  }
  const sign = zone.startsWith("-") ? -1 : 1;
  const [hours = 0, minutes = 0] = /\d/.test(zone) ? zone.slice(1).split(":").map(Number) : [];
  const seconds = BigInt(local / 1000 - sign * (hours * 3600 + minutes * 60));
  return new Timestamp(seconds * SECOND + BigInt(part.padEnd(9, "0")));
}

const UNITS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  "µs": 1e3,
  "μs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Reads a duration as Go writes it: `1h30m`, `-1.5s`. Throws a `CelError`. */
export function parseDuration(text: string): Duration {
  const problem = () =>
    new CelError(`type conversion error from 'string' to 'google.protobuf.Duration'`);
  const body = text.replace(/^[+-]/, "");
  if (!/^(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.test(body)) throw problem();
  let nanos = 0n;
  for (const [, whole = "", part = "", unit = ""] of body.matchAll(/(\d*)\.?(\d*)([a-zµμ]+)/g)) {
    const size = BigInt(UNITS[unit] ?? 0);
    nanos += BigInt(whole || "0") * size;
    if (part !== "") {
      nanos += BigInt(part.slice(0, 18)) * size / 10n ** BigInt(Math.min(part.length, 18));
    }
  }
  return new Duration(text.startsWith("-") ? -nanos : nanos);
}

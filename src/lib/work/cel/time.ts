/** Functions of times: their parts, in any time zone. */

import { method, type Overload } from "./functions.ts";
import type { Duration, Timestamp } from "./instants.ts";
import { CelError } from "./values.ts";

const TIMESTAMP = "google.protobuf.Timestamp";
const DURATION = "google.protobuf.Duration";

/** The point in time whose UTC parts are the local parts of the given one. */
function inZone(time: Timestamp, zone: string): Date {
  const utc = new Date(time.milliseconds);
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(utc.getTime() + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  if (zone === "" || zone === "UTC") return utc;
  const parts = Object.fromEntries(
    formatOf(zone).formatToParts(utc).map(({ type, value }) => [type, value]),
  );
  const local = new Date(0);
  local.setUTCFullYear(Number(parts["year"]), Number(parts["month"]) - 1, Number(parts["day"]));
  local.setUTCHours(
    Number(parts["hour"]),
    Number(parts["minute"]),
    Number(parts["second"]),
    utc.getUTCMilliseconds(),
  );
  return local;
}

/** Making one takes longer than all of an expression. */
const formats = new Map<string, Intl.DateTimeFormat>();
const FORMATS_MAX = 50;

function formatOf(zone: string): Intl.DateTimeFormat {
  const found = formats.get(zone);
  if (found !== undefined) return found;
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    if (formats.size >= FORMATS_MAX) formats.clear();
    formats.set(zone, format);
    return format;
  } catch (cause) {
    throw new CelError(`unknown time zone ${zone}`, { cause });
  }
}

const PARTS: Record<string, (date: Date) => number> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear(date) {
    const start = new Date(0);
    start.setUTCFullYear(date.getUTCFullYear(), 0, 1);
    return Math.floor((date.getTime() - start.getTime()) / 86_400_000);
  },
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

/** `getHours()` and its like, of times and durations. */
export const timeFunctions: readonly Overload[] = [
  ...Object.entries(PARTS).flatMap(([name, part]) => [
    method(name, TIMESTAMP, (time: Timestamp) => BigInt(part(inZone(time, "")))),
    method(
      name,
      `${TIMESTAMP},string`,
      (time: Timestamp, zone: string) => BigInt(part(inZone(time, zone))),
    ),
  ]),
  method("getHours", DURATION, ({ nanos }: Duration) => nanos / 3_600_000_000_000n),
  method("getMinutes", DURATION, ({ nanos }: Duration) => nanos / 60_000_000_000n),
  method("getSeconds", DURATION, ({ nanos }: Duration) => nanos / 1_000_000_000n),
  // All of them, as cel-go says it; the specification means the part below a second.
  method("getMilliseconds", DURATION, ({ nanos }: Duration) => nanos / 1_000_000n),
];

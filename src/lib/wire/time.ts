/** Times as the peers write them: RFC 3339 in UTC, up to nanoseconds, trailing zeros trimmed. */

// What both RFC 3339 and a protobuf Timestamp can say.
const FIRST_MS = Date.parse("0001-01-01T00:00:00Z");
const LAST_MS = Date.parse("9999-12-31T23:59:59.999Z");

const SHAPE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** True for an RFC 3339 date and time with an offset, in the years 1 to 9999 of UTC. */
export function isRfc3339(text: string): boolean {
  return SHAPE.test(text) && isInRange(Date.parse(text.toUpperCase()));
}

function isInRange(ms: number): boolean {
  return ms >= FIRST_MS && ms <= LAST_MS;
}

/** The canonical form of an RFC 3339 time; no digit of its fraction up to nanoseconds is lost. */
export function canonicalTime(text: string): string {
  const { seconds, nanos } = splitTime(text);
  return formatParts(seconds, nanos);
}

/** The canonical form of milliseconds since 1970. */
export function formatTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return formatParts(seconds, Math.floor(ms - seconds * 1000) * 1_000_000);
}

/** An RFC 3339 time as the seconds since 1970 and the nanoseconds after them. */
export function splitTime(text: string): { seconds: number; nanos: number } {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(text.toUpperCase()) / 1000);
  return { seconds, nanos: Number(fraction.slice(0, 9).padEnd(9, "0")) };
}

/** Microseconds since 1970, as exact as PostgreSQL's clock. */
export function timeMicros(text: string): number {
  const { seconds, nanos } = splitTime(text);
  return seconds * 1_000_000 + Math.floor(nanos / 1_000);
}

/** The canonical form of the parts of a time, or undefined if there is no such time. */
export function joinTime(
  { seconds, nanos }: { seconds: number; nanos: number },
): string | undefined {
  const isTime = isInRange(seconds * 1000) && nanos >= 0 && nanos <= 999_999_999;
  return isTime ? formatParts(seconds, nanos) : undefined;
}

function formatParts(seconds: number, nanos: number): string {
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  const fraction = String(nanos).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** Values of a search, checked so that PostgreSQL never has to refuse one. */

import type { Field, Operator } from "./tree.ts";

const NUMBER = /^[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?$/;
const TIME = new RegExp(
  String.raw`^(\d{4})-(\d\d)-(\d\d)` +
    String
      .raw`(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?)?$`,
);
const REGEX_LENGTH_MAX = 200;
const BRACKETS_MAX = 500;

/** A value as the field's type has it, or what would be one. */
export type Checked = { value: string } | { expected: string };

/** Checks a value for a field and an operator. */
export function checkValue({ type }: Field, operator: Operator, text: string): Checked {
  if (text.includes("\0")) return { expected: "a text without \\u0000" };
  if (type === "number") {
    return NUMBER.test(text) ? { value: text } : { expected: "a number" };
  }
  if (type === "time") return checkTime(text);
  if (operator === "contains") return checkJson(text);
  if (operator === "like" || operator === "ilike") {
    return endsInEscape(text) ? { expected: "a pattern that ends in no backslash" } : {
      value: text,
    };
  }
  return operator === "regex" ? checkRegex(text) : { value: text };
}

/** A date or a time with or without its zone; without one it is UTC. */
export function checkTime(text: string): Checked {
  const expected = { expected: "a time such as '2026-01-31' or '2026-01-31T12:00:00Z'" };
  const found = TIME.exec(text.trim());
  if (found === null) return expected;
  const [, year = "", month = "", day = "", hour = "00", minute = "00", second = "00"] = found;
  const [fraction = "0", , sign = "+", zoneHour = "00", zoneMinute = "00"] = found.slice(7);
  const isDay = year !== "0000" && Number(day) >= 1 && Number(day) <= daysOf(year, month);
  const isTime = Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
  const isZone = Number(zoneHour) < 15 && Number(zoneMinute) < 60;
  if (!isDay || !isTime || !isZone) return expected;
  const zone = `${sign}${zoneHour}:${zoneMinute}`;
  return { value: `${year}-${month}-${day} ${hour}:${minute}:${second}.${fraction}${zone}` };
}

function daysOf(year: string, month: string): number {
  const index = Number(month);
  if (index < 1 || index > 12) return 0;
  const isLeap = Number(year) % 4 === 0 && (Number(year) % 100 !== 0 || Number(year) % 400 === 0);
  return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][index - 1] ?? 0;
}

/** An exponent may make a number too large for PostgreSQL, and half a surrogate pair is no character there. */
function checkJson(text: string): Checked {
  const expected = { expected: "JSON" };
  try {
    JSON.parse(text);
  } catch {
    return expected;
  }
  const bare = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const brackets = bare.length - bare.replaceAll(/[[{]/g, "").length;
  const isOdd = /\\u0000|\\u[dD][89a-fA-F]/.test(text) || /\d[eE][+-]?\d{3}/.test(bare);
  return isOdd || brackets > BRACKETS_MAX
    ? { expected: "JSON without \\u0000, surrogates, huge exponents and deep nesting" }
    : { value: text };
}

function endsInEscape(text: string): boolean {
  return (/\\+$/.exec(text)?.[0].length ?? 0) % 2 === 1;
}

/**
 * Without back-references and looking around, PostgreSQL matches in time that grows with the text and no faster.
 * What is no expression at all, or too large a one, it finds out itself.
 */
function checkRegex(text: string): Checked {
  if (text.length > REGEX_LENGTH_MAX) {
    return { expected: `an expression of up to ${REGEX_LENGTH_MAX} characters` };
  }
  const bare = text.replaceAll(/\\[^1-9]/g, "");
  if (/\\[1-9]/.test(bare)) return { expected: "an expression without back-references" };
  if (/\(\?(?:=|!|<)/.test(bare)) return { expected: "an expression that does not look around" };
  return { value: text };
}

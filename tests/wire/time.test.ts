/** Times, as the peers write them and as they may come. */

import { expect, test } from "bun:test";
import { canonicalTime, formatTime, isRfc3339 } from "../../src/lib/wire/time.ts";

test("a time is written in UTC without trailing zeros, and no digit of it is lost", () => {
  const times = {
    "2026-01-02T03:04:05.123456789Z": "2026-01-02T03:04:05.123456789Z",
    "2026-01-02T03:04:05.500000Z": "2026-01-02T03:04:05.5Z",
    "2026-01-02T03:04:05.000Z": "2026-01-02T03:04:05Z",
    "2026-01-02T01:04:05.1-02:00": "2026-01-02T03:04:05.1Z",
    "2026-01-02t03:04:05.25z": "2026-01-02T03:04:05.25Z",
    "1969-12-31T23:59:59.75Z": "1969-12-31T23:59:59.75Z",
  };

  for (const [given, wanted] of Object.entries(times)) {
    expect(isRfc3339(given)).toBeTrue();
    expect(canonicalTime(given)).toBe(wanted);
  }
});

test("a time of our clock is written the same way", () => {
  expect(formatTime(Date.parse("2026-01-02T03:04:05.120Z"))).toBe("2026-01-02T03:04:05.12Z");
  expect(formatTime(Date.parse("2026-01-02T03:04:05.000Z"))).toBe("2026-01-02T03:04:05Z");
  expect(formatTime(-250)).toBe("1969-12-31T23:59:59.75Z");
});

test("what is no time with an offset, or is beyond the years that peers can say, is no time", () => {
  const texts = [
    "2026-01-02",
    "2026-13-02T03:04:05Z",
    "2026-01-02T03:04:05",
    "2026-01-02T03:04:05+99:99",
  ];
  texts.push(
    "now",
    "",
    "9999-12-31T23:59:59-01:00",
    "0000-12-31T00:00:00Z",
    " 2026-01-02T03:04:05Z",
  );

  expect(texts.filter(isRfc3339)).toEqual([]);
});

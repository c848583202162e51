/** Answers of which some bytes are wrong, cut in any way: nothing is thrown, nothing ends twice, nothing is left open. */

import { expect, test } from "bun:test";
import { FLAG, FRAME, frame, goaway } from "../../src/lib/http2/frames.ts";
import { seeded } from "../wire/refusals.ts";
import { answer, numbered, openSpokenClient, setting } from "./spoken.ts";

const ROUNDS = 3_000;
const GOOD = [[":status", "200"], ["content-type", "application/grpc"]] as const;
const TRAILERS = [["grpc-status", "0"], ["grpc-message", "well"]] as const;

const SAID = Buffer.concat([
  frame(FRAME.settings, FLAG.ack, 0),
  answer(1, [[":status", "103"]]),
  answer(1, GOOD),
  frame(FRAME.data, 0, 1, Buffer.from("\0\0\0\0\x05hello")),
  numbered(FRAME.windowUpdate, 3, 1_000),
  answer(1, TRAILERS, { isEnd: true }),
  frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
  setting(4, 100_000),
  frame(FRAME.data, FLAG.padded, 3, Buffer.from("\x02early\0\0")),
  answer(3, [...GOOD, ...TRAILERS], { isEnd: true }),
  answer(5, GOOD),
  goaway(5, 0, "max_age"),
  numbered(FRAME.rstStream, 5, 8),
]);

test("whatever a server says, each request ends once, and the end of the connection ends all", () => {
  const random = seeded(7);
  const outcomes = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const said = Buffer.from(SAID);
    for (let change = random(4); change > 0; change--) said[random(said.length)] = random(256);
    const end = openSpokenClient();
    // Two of four begin.
    end.connection.received(setting(3, 2));
    const asked = Array.from({ length: 4 }, () => end.ask());

    for (let at = 0; at < said.length;) {
      const until = at + 1 + random(80);
      end.connection.received(said.subarray(at, until));
      at = until;
    }
    outcomes.add(end.told.join("; "));
    end.connection.lost();

    expect(asked.map(({ ends }) => ends.length)).toEqual([1, 1, 1, 1]);
    expect(
      asked.every(({ stream, trailers, heads }) =>
        stream.isClosed && heads.length < 2 && trailers.length < 2
      ),
    ).toBeTrue();
    expect(end.told.filter((told) => told === "closed")).toHaveLength(1);
  }

  // Of the many ways to end some are met in any case.
  expect(outcomes.size).toBeGreaterThan(20);
});

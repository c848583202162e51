/** M27: whatever is asked of a list, it is answered or refused, and PostgreSQL never sees it as a statement. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { type Dice, rollDice } from "../faults/dice.ts";
import { testLogger } from "../harness/postgres.ts";
import { goodSearch, MEMBERS, noise, orderOf, searchOf, wild } from "../search/hostile.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const REQUESTS = 20_000;
const AT_ONCE = 4;
const TIMEOUT_MS = 300_000;

const LISTS = ["resource-bundles", "resources", "consumers"];

function askedBy(dice: Dice): URLSearchParams {
  const asked = new URLSearchParams();
  if (dice.happens(0.8)) asked.set("search", wild(dice, dice.happens(0.5) ? searchOf : goodSearch));
  if (dice.happens(0.3)) asked.set("orderBy", wild(dice, orderOf));
  if (dice.happens(0.2)) {
    asked.set(
      "fields",
      wild(dice, (dice) => `${dice.pick(MEMBERS)},${dice.pick(MEMBERS)}`),
    );
  }
  if (dice.happens(0.1)) asked.set("continue", wild(dice, noise));
  if (dice.happens(0.1)) asked.set("limit", dice.pick(["1", "2", "0", "x", "1e9", "65500"]));
  if (dice.happens(0.1)) asked.set("page", dice.pick(["0", "-1", "2", "2147483647", "x", "9e9"]));
  if (dice.happens(0.1)) asked.set("size", dice.pick(["0", "-1", "1", "65500", "1e3", "'"]));
  return asked;
}

/** Rows in which there is something to stumble over, as far as the doors let it in. */
async function fill(rest: RestHarness): Promise<void> {
  const consumer = await rest.consumer();
  const specs = ['{"manifests":[{"kind":"A"}]}', '{"manifests":[1e999999]}', "[]", "{}"];
  for (const [index, spec] of specs.entries()) {
    for (const type of ["Single", "Bundle"]) {
      await query(
        rest.database.db,
        "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
          "spec_event, metadata, status) values ($1, $1, 'a', $2, $3, 1, " +
          "'{\"manifests\":[]}', '', '{}', $4::jsonb, $5::json)",
        [
          ...[`${type}-${index}`, consumer, type],
          ...['{"labels":{"a":"b"}}', index === 0 ? null : '{"conditions":[]}'],
        ],
      );
      const text = "update resources set spec = $2::json where id = $1";
      if (index < 2) await query(rest.database.db, text, [`${type}-${index}`, spec]);
    }
  }
}

test("M27: 20,000 strings that nobody expects are answered with 200 or 400", async () => {
  const lines: string[] = [];
  await using rest = await openRest({ log: testLogger((line) => lines.push(line)) });
  await fill(rest);
  const seed = Number(Bun.env["MAESTRO_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const dice = rollDice(seed);
  const answers = { 200: 0, 400: 0 };
  const wrong: string[] = [];
  const ask = async () => {
    const asked = askedBy(dice);
    const { status, body } = await rest.call("GET", `${V1}/${dice.pick(LISTS)}?${asked}`);
    if (status === 200 || status === 400) answers[status]++;
    // Only PostgreSQL knows what is a regular expression. Whatever else it refuses should not have got there.
    const isUnseen = String(body.reason).includes("the database cannot compare this");
    if ((status !== 200 && status !== 400) || isUnseen) {
      wrong.push(`${status} ${body.reason} for ${decodeURIComponent(String(asked))}`);
    }
  };

  for (let count = 0; count < REQUESTS; count += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
  }

  expect({ seed, wrong: wrong.slice(0, 10) }).toEqual({ seed, wrong: [] });
  expect({ seed, lines: lines.filter((line) => /"level":"(error|warn)"/.test(line)) }).toEqual(
    { seed, lines: [] },
  );
  expect(answers[200]).toBeGreaterThan(REQUESTS / 10);
  expect(answers[400]).toBeGreaterThan(REQUESTS / 10);
  const [row] = await query<{ n: string }>(
    rest.database.db,
    "select count(*) as n from resources",
    [],
  );
  expect(row?.n).toBe("8");
}, TIMEOUT_MS);

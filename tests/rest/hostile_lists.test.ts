/** M27: whatever is asked of a list, it is answered or refused, and PostgreSQL never sees it as a statement. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { type Dice, rollDice } from "../faults/dice.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const REQUESTS = 20_000;
const AT_ONCE = 4;
const TIMEOUT_MS = 300_000;

const LISTS = ["resource-bundles", "resources", "consumers"];
const COLUMNS = [
  ...["id", "name", "source", "consumer_name", "type", "version", "created_at", "updated_at"],
  ...["deleted_at", "payload", "status", "metadata", "labels", "resources.name", "consumers.id"],
  ...[
    "spec",
    "spec_event",
    "pg_catalog.version",
    "properties.a",
    "Name",
    "no_such",
    "ctid",
    "xmin",
  ],
];
const PATHS = [
  ...[
    "->'metadata'->'labels'",
    "->>'a'",
    "->'data'->'manifests'",
    "->'labels'->>'a'",
    "->''",
    "->",
  ],
  ...["->'a'->>'b'", "->'data'->>'x'", "->>'it''s'", "->1", "->'0'"],
];
const OPERATORS = [
  ...["=", "<>", "!=", "<", "<=", ">", ">=", "like", "not like", "ilike", "~=", "~!", "@>", "in"],
  ...[
    "not in",
    "between",
    "not between",
    "is null",
    "is not null",
    "==",
    "~",
    "->>",
    "@@",
    "?",
    "is",
  ],
];
const VALUES = [
  ...[
    "'a'",
    "'%'",
    "'%\\'",
    "1",
    "-1",
    "1e9",
    "1.5",
    "99999999999999999999",
    "1e99",
    "null",
    "true",
  ],
  ...["'2026-01-01'", "'2026-02-30T00:00:00Z'", "'infinity'", "'now'", '\'{"a":"b"}\'', "'[1,2]'"],
  ...["'{\"a\":1e99}'", "'('", "'[a-'", "'a{1,99999}'", "'((a*)*)*b'", "'(a)\\1'", "'\\m'", "''"],
  ...[
    "'\\u0000'",
    "'\u0000'",
    "'é😀'",
    "('a','b')",
    "(1, 2, 3)",
    "()",
    "1 and 2",
    "'a' and 'b'",
    "x",
  ],
  ...[
    "'1'::int",
    "$1",
    "?",
    "'a' || 'b'",
    "(select 1)",
    "'***=a('",
    "'(?b)a\\{1\\}'",
    "'\\x'",
    "'\"v\"'",
  ],
];
const HOSTILE = [
  ...[
    "'; drop table resources; --",
    "1 or 1=1",
    "name = 'a' union select 1",
    "/**/",
    "--",
    "\\",
    "'",
  ],
  ...[
    "name/**/",
    "name;select pg_sleep(9)",
    "(select pg_sleep(9))",
    "\u0000",
    "\ud800",
    "😀",
    "$$",
  ],
  ...[
    "id,name desc nulls first",
    "random()",
    "1",
    'name collate "C"',
    "version::text",
    "id--",
    ".",
  ],
  ...[
    "((((((((",
    "not not not not",
    "a.b.c",
    "__proto__",
    "constructor",
    "name asc asc",
    ",",
    "%00",
  ],
  ...["metadata.labels.*", "manifests[0]", "status..", "*", "id.*", "labels.a.b", "name = 'a' and"],
];
const JOINTS = [" and ", " or ", " not ", "(", ")", " ", ",", "'", " and not (", " AND "];
const MEMBERS = [
  ...[
    "id",
    "name",
    "metadata",
    "metadata.labels",
    "status.conditions",
    "labels.a",
    "delivery.state",
  ],
  ...["manifests", "manifest.kind", "kind", "href", "created_at", "consumer_name", "nope"],
];

const term = (dice: Dice) =>
  dice.pick(COLUMNS) + (dice.happens(0.3) ? dice.pick(PATHS) : "") +
  (dice.happens(0.5) ? " " : "") + dice.pick(OPERATORS) + (dice.happens(0.5) ? " " : "") +
  (dice.happens(0.9) ? dice.pick(VALUES) : "");

function searchOf(dice: Dice): string {
  let text = term(dice);
  while (dice.happens(0.4)) text += dice.pick(JOINTS) + term(dice);
  return text;
}

/** What a person may mean, so that not all is refused at the first letter. */
function goodSearch(dice: Dice): string {
  const good = [
    ...["name like 'a%'", "name ~= '^(a|b)+$'", "version between 1 and 3", "deleted_at is null"],
    ...["created_at > '2026-01-01T00:00:00Z'", "labels->>'a' = 'b'", 'labels @> \'{"a":"b"}\''],
    ...["payload->'data'->'manifests' @> '[{\"kind\":\"A\"}]'", "labels->>'a' in ('1', '2')"],
    ...["status->'data'->'conditions' @> '[]'", "not id = 'a'", "metadata->'labels'->>'a'<>null"],
    ...["payload->'data'->'manifests'->'a'->>'b' ilike '%'", "labels is null", "version >= 1.5"],
  ];
  let text = dice.pick(good);
  while (dice.happens(0.5)) {
    text = `${dice.happens(0.3) ? "not " : ""}(${text}) ${dice.pick(["and", "or"])} ${
      dice.pick(good)
    }`;
  }
  return text;
}

/** With a letter lost, doubled or changed. */
function damage(dice: Dice, text: string): string {
  const at = dice.between(0, text.length);
  const by = dice.pick(["", "'", "\\", "(", ")", "\u0000", "é", "-", ";", dice.pick(HOSTILE)]);
  return text.slice(0, at) + by + text.slice(at + dice.between(0, 2));
}

function noise(dice: Dice): string {
  const codes = Array.from({ length: dice.between(0, 30) }, () => dice.between(0, 0x2ff));
  return String.fromCharCode(...codes);
}

function orderOf(dice: Dice): string {
  let text = dice.pick(COLUMNS) + dice.pick(["", " asc", " desc", " DESC", "  asc", " nulls last"]);
  while (dice.happens(0.4)) text += `,${dice.pick(COLUMNS)}${dice.pick(["", " desc"])}`;
  return text;
}

function askedBy(dice: Dice): URLSearchParams {
  const asked = new URLSearchParams();
  const wild = (make: (dice: Dice) => string) =>
    dice.happens(0.2)
      ? damage(dice, make(dice))
      : dice.happens(0.1)
      ? dice.pick(HOSTILE)
      : dice.happens(0.05)
      ? noise(dice)
      : make(dice);
  if (dice.happens(0.8)) asked.set("search", wild(dice.happens(0.5) ? searchOf : goodSearch));
  if (dice.happens(0.3)) asked.set("orderBy", wild(orderOf));
  if (dice.happens(0.2)) {
    asked.set(
      "fields",
      wild((dice) => `${dice.pick(MEMBERS)},${dice.pick(MEMBERS)}`),
    );
  }
  if (dice.happens(0.1)) asked.set("continue", wild(noise));
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

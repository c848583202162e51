/** Searches and orders that nobody expects, by chance that a seed repeats. */

import type { Dice } from "../faults/dice.ts";

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
/** Members that somebody may ask for. */
export const MEMBERS = [
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

/** Words of both grammars in a row, which seldom make sense. */
export function searchOf(dice: Dice): string {
  let text = term(dice);
  while (dice.happens(0.4)) text += dice.pick(JOINTS) + term(dice);
  return text;
}

/** What a person may mean, so that not all is refused at the first letter. */
export function goodSearch(dice: Dice): string {
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

/** Letters of any kind. */
export function noise(dice: Dice): string {
  const codes = Array.from({ length: dice.between(0, 30) }, () => dice.between(0, 0x2ff));
  return String.fromCharCode(...codes);
}

/** An order that somebody may ask for. */
export function orderOf(dice: Dice): string {
  let text = dice.pick(COLUMNS) + dice.pick(["", " asc", " desc", " DESC", "  asc", " nulls last"]);
  while (dice.happens(0.4)) text += `,${dice.pick(COLUMNS)}${dice.pick(["", " desc"])}`;
  return text;
}

/** Mostly what `make` makes, now and then damaged, or hostile, or noise. */
export function wild(dice: Dice, make: (dice: Dice) => string): string {
  if (dice.happens(0.2)) return damage(dice, make(dice));
  if (dice.happens(0.1)) return dice.pick(HOSTILE);
  return dice.happens(0.05) ? noise(dice) : make(dice);
}

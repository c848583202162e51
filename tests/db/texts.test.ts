/** Documents that travel to PostgreSQL as one text. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { joinTexts } from "../../src/lib/db/texts.ts";
import { createDatabase } from "../harness/postgres.ts";

const CUT = "select string_to_array($1::text, E'\\x1f', '') as texts";

test("joined texts come apart as they were, quotes, backslashes and nulls too", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const lists = [
    ['{"a":"\\"\\\\"}', '[1,"ä€😀"]', null, "null", "{\n\t}"],
    [null, null],
    ["x", null],
    [null, "x"],
  ];

  for (const list of lists) {
    const [row] = await query(database.db, CUT, [joinTexts(list)]);
    expect(row).toEqual({ texts: list });
  }
});

test("a text that contains the separator is refused, as its parts would become others' texts", () => {
  expect(() => joinTexts(["a", "b\x1fc"])).toThrow("contains U+001F");
  expect(() => joinTexts(["a", ""])).toThrow("empty");
});

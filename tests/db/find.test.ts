/** What becomes of a search that takes too long. */

import { expect, test } from "bun:test";
import { connect } from "../../src/lib/db/connect.ts";
import { find } from "../../src/lib/db/find.ts";
import { query } from "../../src/lib/db/query.ts";
import { CONSUMERS } from "../../src/lib/search/listed.ts";
import { parseOrder } from "../../src/lib/search/order.ts";
import { parseSearch } from "../../src/lib/search/parse.ts";
import { createDatabase } from "../harness/postgres.ts";

test("a regular expression over which the statement runs out of time is the caller's to change", async () => {
  await using database = await createDatabase();
  await query(
    database.db,
    "insert into consumers (id, name) " +
      "select 'c' || n, repeat('a', 60) || n from generate_series(1, 2000) n",
    [],
  );
  const db = connect(database.address, {
    ...{ maxConnections: 1, applicationName: "test", statementTimeoutMs: 50 },
  });

  const searching = find(db, {
    listed: CONSUMERS,
    condition: parseSearch(CONSUMERS, "name = 'x' or name ~= '(a?){250}a{250}'"),
    order: parseOrder(CONSUMERS, ""),
    limit: 1,
    documents: { spec: false, status: false },
  });

  await expect(searching.finally(() => db.end({ timeout: 1 }))).rejects.toMatchObject({
    code: "invalid_argument",
    peerNumber: 21,
    message: "Failed to parse search query: it takes too long to match",
  });
});

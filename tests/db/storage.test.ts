/** How PostgreSQL keeps documents. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { openSpecs } from "../spec/specs.ts";

test("a spec is kept without PostgreSQL's own compression, which costs more than all the rest", async () => {
  await using specs = await openSpecs();
  const spec = JSON.stringify({ manifests: [], padding: "x".repeat(50_000) });
  const { id } = await specs.create({ spec });

  const [row] = await query(
    specs.db,
    "select pg_column_compression(spec) as compression, pg_column_size(spec) as bytes " +
      "from resources where id = $1",
    [id],
  );

  // Where PostgreSQL has lz4 it is used; the embedded one was built without.
  expect(row).toEqual({ compression: null, bytes: spec.length });
});

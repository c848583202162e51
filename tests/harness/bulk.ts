/** Many rows at once, as fast as PostgreSQL takes them. */

import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";

/** Resources `r1` and so on of one consumer, `c`, with the consumer if it is not there. */
export async function fillResources(db: Db, from: number, to: number): Promise<void> {
  await query(db, "insert into consumers (id, name) values ('c', 'c') on conflict do nothing", []);
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, spec_event) " +
      "select 'r' || n, 'r' || n, 's', 'c', 'Bundle', 1, '{}', '', '{}' " +
      "from generate_series($1::int, $2::int) n",
    [from, to],
  );
}

/** The consumers as their list finds them. */

import { type Consumer, readConsumers } from "../../src/lib/consumer/consumers.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { find } from "../../src/lib/db/find.ts";
import { CONSUMERS } from "../../src/lib/search/listed.ts";
import { parseOrder } from "../../src/lib/search/order.ts";
import { EVERYTHING } from "../../src/lib/search/tree.ts";

/** All of them, oldest first. */
export async function allConsumers(db: Db): Promise<Consumer[]> {
  const found = await find(db, {
    listed: CONSUMERS,
    condition: EVERYTHING,
    order: parseOrder(CONSUMERS, ""),
    limit: 1_000,
    documents: { spec: false, status: false },
  });
  const consumers = await readConsumers(db, found.map(({ id }) => id));
  return found.flatMap(({ id }) => consumers.filter((one) => one.id === id));
}

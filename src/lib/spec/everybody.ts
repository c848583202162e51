/** The consumers behind a broker, which says who is away and never who is there. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";

export interface Everybody {
  /** When this server's own connection to the broker was made: what was sent before may be lost. */
  connectedAt: string;
  /** True if the consumer can take more now. */
  isReady(consumerName: string): boolean;
  /** The consumers to look at next that have a first sending waiting. */
  withEvents(): Promise<{ names: string[]; isLast: boolean }>;
  /** The consumers to look at next that have not answered, without those that are known to be away. */
  withPending(): Promise<{ names: string[]; isLast: boolean }>;
}

/** Consumers in one statement. With more of them each gets its turn in a later one. */
const TURN_MAX = 500;

/** Goes round all consumers that have something waiting, a part at a time. */
export function createEverybody(
  db: Db,
  { connectedAt, isAway, isReady }: {
    connectedAt: string;
    isAway: (consumerName: string) => boolean;
    isReady: (consumerName: string) => boolean;
  },
): Everybody {
  const withEvents = goRound((after) => q.specEventConsumersAfter(db, after, TURN_MAX));
  const withPending = goRound((after) => q.resourcePendingConsumersAfter(db, after, TURN_MAX));
  return {
    connectedAt,
    isReady,
    async withEvents() {
      const { names, isLast } = await withEvents();
      return { names: names.filter(isReady), isLast };
    },
    async withPending() {
      const { names, isLast } = await withPending();
      return { names: names.filter((name) => !isAway(name) && isReady(name)), isLast };
    },
  };
}

function goRound(
  next: (after: string) => Promise<{ consumer_name: string }[]>,
): () => Promise<{ names: string[]; isLast: boolean }> {
  let after = "";
  return async () => {
    const rows = await next(after);
    const names = rows.map(({ consumer_name }) => consumer_name);
    const isLast = names.length < TURN_MAX;
    after = isLast ? "" : names.at(-1) ?? "";
    return { names, isLast };
  };
}

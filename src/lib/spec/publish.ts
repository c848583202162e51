/**
 * From the database to the agents: the first sending of each change. What is not answered is in redeliver.ts.
 *
 * A change is claimed, marked as sent and taken off the outbox in one statement, then handed to the
 * transport. What happens when the process dies:
 *
 *   before the statement     the outbox row is still there; the next server claims it
 *   after it, before sending the resource is pending with a time to send it again; it is also sent as soon
 *                            as its consumer connects, since it was last sent before that
 *   after sending            the same; the agent sees it twice and ignores the second
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { SentRow } from "./event.ts";
import type { Everybody } from "./everybody.ts";
import { CLAIM_MAX, sendSpecs, turnCount } from "./send.ts";

/** A consumer that can take more events now. */
export interface ReadyConsumer {
  name: string;
  /** When its connection was made, by the database's clock. What was sent before is lost. */
  connectedAt: string;
}

/** Those that are connected here, or whoever is behind a broker. Nobody is an empty map. */
export type Ready = Map<string, ReadyConsumer> | Everybody;

/** Hands an event to a consumer's connection. False: there is none any more; its next one repairs that. */
export type Publish = (consumerName: string, event: CloudEvent) => boolean;

/** Creates and updates are one, deletions the other. */
const LANES = 2;

/**
 * Sends what waits in the outbox for these consumers; resolves to true if there may be more.
 *
 * `hinted` are the consumers that a notification named. Without it all that have something waiting
 * are looked for, which costs little when the outbox is empty.
 */
export async function publishSpecEvents(
  db: Db,
  publish: Publish,
  log: Logger,
  options: { sourceId: string; ready: Ready; hinted?: Iterable<string> },
): Promise<boolean> {
  const { ready, hinted } = options;
  const names = hinted === undefined
    ? await withEvents(db, ready)
    : [...hinted].filter((name) => ready instanceof Map ? ready.has(name) : ready.isReady(name));
  if (names.length === 0) return false;
  const turn = turnCount(names.length * LANES);
  const rows = await q.specEventClaim(db, shuffle(names), turn, CLAIM_MAX);
  sendSpecs(rows.filter(isSent), publish, log, options.sourceId);
  // Only who had a whole turn may have more.
  return (rows[0]?.taken_count ?? 0) >= turn;
}

/** Events were taken whose resources need no sending: then there is one row, with nothing in it but the count. */
function isSent(row: q.SpecEventClaimRow): row is q.SpecEventClaimRow & SentRow {
  return row.id !== null;
}

async function withEvents(db: Db, ready: Ready): Promise<string[]> {
  if (!(ready instanceof Map)) return await ready.withEvents();
  if (ready.size === 0) return [];
  return (await q.specEventConsumers(db, [...ready.keys()])).map((row) => row.consumer_name);
}

/** Where a statement is too small for all of them, chance decides, so that nobody is always the last. */
function shuffle<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}

export interface SpecPublisher {
  /** Notes that these consumers have something waiting; the next run looks at them first. */
  hint(consumerNames: Iterable<string>): void;
  /** One turn; resolves to true if there is more to do. */
  run(): Promise<boolean>;
}

/**
 * Makes the publisher that a pump runs.
 *
 * A notification names consumers, which saves the search for them. It is only a hint: a sweep over
 * everything every `sweepMs` finds what a lost one would have told.
 */
export function createSpecPublisher(
  db: Db,
  publish: Publish,
  log: Logger,
  options: { sourceId: string; ready: () => Ready; sweepMs: number },
): SpecPublisher {
  const hinted = new Set<string>();
  let sweptAt = 0;
  const turn = (names?: string[]) =>
    publishSpecEvents(db, publish, log, {
      sourceId: options.sourceId,
      ready: options.ready(),
      hinted: names,
    });
  return {
    hint(consumerNames) {
      for (const name of consumerNames) hinted.add(name);
    },
    async run() {
      if (performance.now() - sweptAt >= options.sweepMs) {
        const hasMore = await turn();
        if (!hasMore) sweptAt = performance.now();
        return hasMore || hinted.size > 0;
      }
      const names = [...hinted];
      hinted.clear();
      if (names.length === 0) return false;
      const hasMore = await turn(names);
      if (hasMore) { for (const name of names) hinted.add(name); }
      return hasMore || hinted.size > 0;
    },
  };
}

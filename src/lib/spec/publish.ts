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
import { CLAIM_MAX, LANES, sendSpecs, shuffle, turnCount } from "./send.ts";
import { waitingOf } from "./waiting.ts";

/** A consumer that can take more events now. */
export interface ReadyConsumer {
  name: string;
  /** When its connection was made, by the database's clock. What was sent before is lost. */
  connectedAt: string;
}

/** The consumers that are connected here and can take more events now, as a map or what can be asked as one. */
export type Here = Pick<ReadonlyMap<string, ReadyConsumer>, "get" | "has" | "keys">;

/** Those that are connected here, or whoever is behind a broker. Nobody is an empty map. */
export type Ready = Here | Everybody;

/** True for those that are connected here. */
export function isHere(ready: Ready): ready is Here {
  return "keys" in ready;
}

/** True if the consumer can be sent to now. */
export function isReadyNow(ready: Ready, consumerName: string): boolean {
  return isHere(ready) ? ready.has(consumerName) : ready.isReady(consumerName);
}

/** Hands an event to a consumer's connection. False: there is none any more; its next one repairs that. */
export type Publish = (consumerName: string, event: CloudEvent) => boolean;

/** Consumers in one statement, of whom each has its turn in each lane. */
const TURN_MAX = CLAIM_MAX / LANES.length;
/**
 * The pump's pauses end on a grid, so the next run may be somewhat less than a sweep's pause away; then it would take two of them
 * until what a lost notification named is found.
 */
const SLACK = 0.5;

/** Events were found whose resources need no sending: then there is one row, with nothing in it but the count. */
function isSent(row: q.SpecEventClaimRow): row is q.SpecEventClaimRow & SentRow {
  return row.id !== null;
}

async function withEvents(db: Db, ready: Ready): Promise<{ names: string[]; isLast: boolean }> {
  if (!isHere(ready)) return await ready.withEvents();
  const names = await waitingOf(ready, {
    first: (count) => q.specEventConsumersAfter(db, "", count),
    among: (all) => q.specEventConsumers(db, all),
  });
  return { names, isLast: true };
}

export interface SpecPublisher {
  /** Notes that these consumers have something waiting; the next run looks at them first. */
  hint(consumerNames: Iterable<string>): void;
  /** One turn: sends what waits in the outbox for some consumers. Resolves to true if there is more to do. */
  run(): Promise<boolean>;
}

/**
 * Makes the publisher that a pump runs.
 *
 * A notification names consumers, which saves the search for them. It is only a hint: a sweep over
 * everything every `sweepMs`, and in the first run, finds what a lost one would have told. It costs
 * little when the outbox is empty.
 */
export function createSpecPublisher(
  db: Db,
  publish: Publish,
  log: Logger,
  options: { sourceId: string; ready: () => Ready; sweepMs: number },
): SpecPublisher {
  /** Those who were hinted at first, first. */
  const hinted = new Set<string>();
  let sweptAt = -Infinity;
  let isSweeping = false;
  /** Those who had their turn, and may have more waiting, come after the others. */
  const turn = async (ready: Ready) => {
    const taken = [...hinted].slice(0, TURN_MAX);
    for (const name of taken) hinted.delete(name);
    const names = taken.filter((name) => isReadyNow(ready, name));
    if (names.length === 0) return;
    const lanes = shuffle(
      names.flatMap((name) => LANES.map((isDeletion) => ({ name, isDeletion }))),
    );
    const each = turnCount(lanes.length);
    const rows = await q.specEventClaim(
      db,
      lanes.map(({ name }) => name),
      lanes.map(({ isDeletion }) => isDeletion),
      each,
      CLAIM_MAX,
    );
    const sent = rows.filter(isSent);
    sendSpecs(sent, publish, log, options.sourceId);
    // Only who had a whole turn may have more, or whose events were too large to be taken all at once.
    const found = rows[0]?.found_count ?? 0;
    if (found >= each || found > sent.length) { for (const name of names) hinted.add(name); }
  };
  return {
    hint(consumerNames) {
      for (const name of consumerNames) hinted.add(name);
    },
    async run() {
      const ready = options.ready();
      const now = performance.now();
      if (isSweeping || now - sweptAt >= options.sweepMs * SLACK) {
        sweptAt = now;
        const { names, isLast } = await withEvents(db, ready);
        for (const name of names) hinted.add(name);
        isSweeping = !isLast;
      }
      await turn(ready);
      return hinted.size > 0 || isSweeping;
    },
  };
}

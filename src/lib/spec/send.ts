/** What first sendings and later ones share: how much goes in one statement, and handing it over. */

import type { Logger } from "../log.ts";
import { type SentRow, toSpecEvent } from "./event.ts";
import type { Publish } from "./publish.ts";

/** Events in one statement, over all consumers. */
export const CLAIM_MAX = 500;
/** Most events of one consumer and lane in one turn; fewer if many consumers share it. */
const TURN_MAX = 50;

/** Each of those who share a statement gets as much of it as the others. */
export function turnCount(sharers: number): number {
  return Math.max(1, Math.min(TURN_MAX, Math.floor(CLAIM_MAX / sharers)));
}

/** Hands claimed resources to their consumers' connections. */
export function sendSpecs(
  rows: readonly SentRow[],
  publish: Publish,
  log: Logger,
  sourceId: string,
): void {
  for (const row of rows) {
    const isSent = publish(row.consumer_name, toSpecEvent(row, { sourceId }));
    const fields = { resource: row.id, version: row.version, consumer: row.consumer_name };
    log.debug(isSent ? "sent a spec" : "lost the connection before a spec was sent", fields);
  }
}

/** What first sendings and later ones share: how much goes in one statement, and handing it over. */

import type { Logger } from "../log.ts";
import { type SentRow, toSpecEvent } from "./event.ts";
import type { Publish } from "./publish.ts";

/** Events in one statement, over all consumers. */
export const CLAIM_MAX = 500;
/** Most events of one consumer and lane in one turn; fewer if many consumers share it. */
const TURN_MAX = 50;

/** About so many bytes of specs in one statement, on disk; claim.sql says so too. In memory they are some times as much. */
export const CLAIM_BYTES_MAX = 8_000_000;

/** Creates and updates are one lane of a consumer, deletions the other: whether it is that of deletions. */
export const LANES = [false, true];

/** Each of those who share a statement gets as much of it as the others. */
export function turnCount(sharers: number): number {
  return Math.max(1, Math.min(TURN_MAX, Math.floor(CLAIM_MAX / sharers)));
}

/** Where a statement is too small for all of them, chance decides, so that nobody is always the last. */
export function shuffle<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}

/** Sends by itself what this server accepts, for consumers that it reaches. */
export interface Sender {
  /** True if the consumer can be sent to now. */
  isReady(consumerName: string): boolean;
  /** Hands over what was stored as sent. */
  send(rows: SentRow[]): void;
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

/** Makes the sender of a server. What it cannot send is pending, and sent again later. */
export function createSender(
  isReady: (consumerName: string) => boolean,
  publish: Publish,
  log: Logger,
  sourceId: string,
): Sender {
  return {
    isReady,
    send(rows) {
      try {
        sendSpecs(rows, publish, log, sourceId);
      } catch (error) {
        // It is stored all the same, and its caller must hear that.
        log.error("cannot send what was accepted, trying again later", { error });
      }
    },
  };
}

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

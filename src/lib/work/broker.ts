/** What the agent needs of a way to its server, as types. `grpc/` and `mqtt/` implement it. */

import type { CloudEvent } from "../wire/event.ts";

/** A connection to whatever carries events for one consumer. It reconnects by itself, for ever. */
export interface Broker extends AsyncDisposable {
  /** The name whose SHA-256 is the hub hash: the URL or host as configured. */
  readonly hubName: string;
  /** The largest data of an event that surely passes, in bytes; known while there is a connection. */
  readonly eventBytesMax: number;
  /**
   * Sends one event and resolves when the server has accepted it.
   * Rejects with `unavailable` while there is no connection, and within a time-out; with `too_large` if the
   * event never passes.
   */
  publish(event: CloudEvent): Promise<void>;
}

/** What a broker calls. Each returned promise holds back the next event. */
export interface BrokerEvents {
  /** Every event that is not a heartbeat, in order. */
  receive(event: CloudEvent): Promise<void>;
  /**
   * After each successful subscription: the moment to ask for a resync, unless `isKept` says that whatever was sent
   * meanwhile is kept for us.
   */
  subscribed(connection: { isKept: boolean }): Promise<void>;
  /** The connection is gone; a new one is being tried. */
  disconnected(reason: string): void;
}

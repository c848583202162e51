/** What a server does in its way and a client in another, within a connection that is the same for both. */

import type { OpenStreams } from "./open_streams.ts";
import type { Room } from "./room.ts";
import type { Sender } from "./sending.ts";
import type { PeerSettings } from "./settings.ts";

/** The one or the other. */
export interface Role {
  readonly isClient: boolean;
  /** What the peer says first. */
  readonly preface: Buffer | undefined;
  /** What we say first. */
  readonly greeting: readonly Buffer[];
  /** Takes a whole header block. */
  takeHeaders(streamId: number, block: Buffer, isEnd: boolean): void;
  /** The peer resets an open stream. */
  takeReset(): void;
  takeSettings(settings: PeerSettings): void;
  /** Our settings are acknowledged. */
  settingsTaken(): void;
  /** The peer wants no stream above `lastId`. */
  takeGoaway(goodbye: { lastId: number; code: number; words: string }): void;
  /** Those that begin from now on are not served. */
  seal(): void;
  closed(): void;
}

/** What a role has of its connection. */
export interface RoleParts {
  sender: Sender;
  /** Of the connection. */
  room: Room;
  streams: OpenStreams;
  /** A frame that carries nothing has come: there may be so many. */
  spendIdle(): void;
  /** To be called after a stream was taken out of those that are open. */
  streamEnded(): void;
  fail(error: Error): void;
}

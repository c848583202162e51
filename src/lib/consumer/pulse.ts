/**
 * The pulse of consumers: when each was last heard of, and by which agent.
 *
 * Signs of life arrive all the time, from thousands of agents. They are kept in memory and written at most once a
 * minute for each consumer, many in one statement. What a server that dies had not written yet is lost: the next sign
 * says more.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";

export interface Pulse {
  /** Notes a sign of life; `agentVersion` if it says by whom. */
  heard(consumerName: string, agentVersion?: string): void;
  /** Writes what is due; resolves to true if there is more. An open connection is a sign of life. */
  write(connected?: Iterable<string>): Promise<boolean>;
}

const WRITE_MS = 60_000;
const BATCH_MAX = 500;
/** Longer than any consumer's name: of as many as may be kept, each may be as long as a message. */
const NAME_LENGTH_MAX = 253;
/** Names come from outside. Those beyond so many are not noted until others have been silent for a while. */
const ENTRIES_MAX = 300_000;
/** The agent's word, which is shown to people. */
const VERSION_PATTERN = /^[\x20-\x7e]{1,100}$/;

interface Entry {
  heardMs: number;
  writtenMs: number;
  agentVersion?: string;
}

/** Starts with nobody heard. `elapsedMs` is a clock that never steps back. */
export function createPulse(db: Db, elapsedMs: () => number): Pulse {
  const entries = new Map<string, Entry>();

  const due = (): [string, Entry][] => {
    const now = elapsedMs();
    const found: [string, Entry][] = [];
    for (const [name, entry] of entries) {
      if (now - entry.writtenMs < WRITE_MS) continue;
      if (entry.heardMs > entry.writtenMs) found.push([name, entry]);
      else entries.delete(name);
      if (found.length === BATCH_MAX) break;
    }
    return found;
  };

  const heard: Pulse["heard"] = (consumerName, agentVersion) => {
    const known = entries.get(consumerName);
    // PostgreSQL keeps no U+0000, and no consumer has it in its name.
    const isRefused = entries.size >= ENTRIES_MAX || consumerName.length > NAME_LENGTH_MAX ||
      consumerName.includes("\0");
    if (known === undefined && isRefused) return;
    const entry = known ?? { heardMs: 0, writtenMs: -Infinity };
    entry.heardMs = elapsedMs();
    if (agentVersion !== undefined && VERSION_PATTERN.test(agentVersion)) {
      entry.agentVersion = agentVersion;
    }
    if (known === undefined) entries.set(consumerName, entry);
  };

  return {
    heard,
    async write(connected = []) {
      for (const consumerName of connected) heard(consumerName);
      const batch = due();
      if (batch.length === 0) return false;
      const now = elapsedMs();
      await q.consumerPulse(
        db,
        batch.map(([name]) => name),
        batch.map(([, { agentVersion }]) => agentVersion ?? null),
        batch.map(([, { heardMs }]) => Math.round((now - heardMs) / 1000)),
      );
      // What was heard meanwhile is newer, and written in a minute.
      for (const [, entry] of batch) entry.writtenMs = now;
      return batch.length === BATCH_MAX;
    },
  };
}

/** What is known of consumers from what they send, and from what nobody took. */

export interface Roll {
  /** Notes something that an agent has sent. Ours says its version. */
  heard(consumerName: string, agent: { isOurs: boolean }): void;
  /** Notes that a publish found no subscription. */
  missed(consumerName: string): void;
  /** Notes that a publish found one. */
  reached(consumerName: string): void;
  /** True if the consumer had no subscription a while ago, and has not been heard of since. */
  isAway(consumerName: string): boolean;
  /** True if its agent may be one of ours. */
  knowsDigests(consumerName: string): boolean;
  /** True for a Go agent that has sent something since it was asked about each status, or has not been for long. */
  isListDue(consumerName: string): boolean;
  /** Notes that it is being asked. */
  listed(consumerName: string): void;
}

/** A consumer without a subscription is looked for again so often, should its own question have been lost. */
const AWAY_MS = 10 * 60_000;
/** How often a Go agent is asked about each status though nothing came of it. */
const LIST_MS = 10 * 60_000;

/** Names come from outside. Beyond so many the longest known is forgotten, which costs it a question. */
const ENTRIES_MAX = 1_000_000;

interface Entry {
  isOurs?: boolean;
  missedMs?: number;
  heardMs?: number;
  listedMs?: number;
}

/** Starts with nothing known. `elapsedMs` is a clock that never steps back. */
export function createRoll(elapsedMs: () => number): Roll {
  const entries = new Map<string, Entry>();
  const entryOf = (consumerName: string): Entry => {
    const entry = entries.get(consumerName) ?? {};
    entries.set(consumerName, entry);
    if (entries.size > ENTRIES_MAX) entries.delete(entries.keys().next().value ?? "");
    return entry;
  };
  return {
    heard(consumerName, { isOurs }) {
      const entry = entryOf(consumerName);
      delete entry.missedMs;
      entry.heardMs = elapsedMs();
      entry.isOurs = isOurs;
    },
    missed(consumerName) {
      entryOf(consumerName).missedMs = elapsedMs();
    },
    reached(consumerName) {
      delete entries.get(consumerName)?.missedMs;
    },
    isAway(consumerName) {
      const missedMs = entries.get(consumerName)?.missedMs;
      return missedMs !== undefined && elapsedMs() - missedMs < AWAY_MS;
    },
    knowsDigests: (consumerName) => entries.get(consumerName)?.isOurs !== false,
    isListDue(consumerName) {
      const { isOurs, heardMs = -Infinity, listedMs = -Infinity } = entries.get(consumerName) ?? {};
      if (isOurs !== false) return false;
      return heardMs > listedMs || elapsedMs() - listedMs > LIST_MS;
    },
    listed(consumerName) {
      entryOf(consumerName).listedMs = elapsedMs();
    },
  };
}

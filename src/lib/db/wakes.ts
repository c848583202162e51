/**
 * Wakes the loops that have work after a commit: those of this server at once, those of others by a notification.
 *
 * The notification comes after the transaction that stores and not in it: PostgreSQL lets only one transaction that
 * notifies commit at a time, in the whole cluster, and the next waits until that one is on the disk. What dies in between
 * costs what a lost notification costs, a sweep.
 */

import * as q from "../../gen/queries.ts";
import type { Logger } from "../log.ts";
import type { Db } from "./connect.ts";
import type { Channel } from "./listen.ts";

/** What is woken, by this server or by others. */
export interface Sleepers {
  /** Specs were stored, and wait for these consumers: none if they have been sent, or nobody knows. */
  specs(consumerNames: string[]): void;
  /** There is more in the feed. */
  statuses(): void;
}

export interface Wakes extends Sleepers, AsyncDisposable {
  /** What is to be listened to. */
  channels: Record<string, Channel>;
}

const SPECS = "spec_events";
const STATUSES = "changes";
/** A notification has less than 8,000 bytes. */
const TEXT_MAX = 7_000;
/** No consumer's name begins with it: servers of before take it for one that is not there. */
const OWN = "@";

/** Makes one for a server. Nothing waits for its notifications, and nothing comes of it if one fails. */
export function createWakes(db: Db, sleepers: Sleepers, log: Logger): Wakes {
  const me = `${OWN}${crypto.randomUUID()}`;
  /** For whom specs wait; undefined if none were stored. */
  let names: Set<string> | undefined;
  let isReported = false;
  let telling: Promise<void> | undefined;

  /** Whatever comes while one notification is on its way goes with the next. */
  const tell = async () => {
    try {
      while (names !== undefined || isReported) {
        const texts = names === undefined ? [] : [...inTexts(me, names)];
        const told = texts.map((text) => [SPECS, text] as const);
        const all = isReported ? [...told, [STATUSES, me] as const] : told;
        names = undefined;
        isReported = false;
        await q.wakeTell(db, all.map(([channel]) => channel), all.map(([, text]) => text));
      }
    } catch (error) {
      log.debug("cannot notify other servers", { error });
    } finally {
      // In the turn in which nothing was left: what comes after it starts anew.
      telling = undefined;
    }
  };
  const start = () => {
    telling ??= tell();
  };

  const isOwn = (text: string) => text === me || text.startsWith(`${me},`);
  return {
    specs(consumerNames) {
      sleepers.specs(consumerNames);
      names ??= new Set();
      for (const name of consumerNames) names.add(name);
      start();
    },
    statuses() {
      sleepers.statuses();
      isReported = true;
      start();
    },
    channels: {
      [SPECS]: {
        heard(text) {
          if (isOwn(text)) return;
          sleepers.specs(text.split(",").filter((name) => !name.startsWith(OWN)));
        },
        caughtUp: () => sleepers.specs([]),
      },
      [STATUSES]: {
        heard(text) {
          if (!isOwn(text)) sleepers.statuses();
        },
        caughtUp: () => sleepers.statuses(),
      },
    },
    async [Symbol.asyncDispose]() {
      await telling;
    },
  };
}

function* inTexts(me: string, names: Iterable<string>): Generator<string> {
  let text = me;
  for (const name of names) {
    if (text.length + name.length >= TEXT_MAX) {
      yield text;
      text = me;
    }
    text += `,${name}`;
  }
  yield text;
}

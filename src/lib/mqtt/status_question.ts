/** Asks all agents, one after the other, for the statuses that differ from what is stored. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { keepTrying } from "../keep_trying.ts";
import type { Logger } from "../log.ts";
import { statusQuestions } from "../status/question.ts";
import { EXT, MANIFEST_BUNDLES } from "../wire/event.ts";
import { type HeldStatus, statusQuestion } from "../wire/resync.ts";
import { formatTime } from "../wire/time.ts";
import { createPipeline, type Send } from "./pipeline.ts";

const NAMES_MAX = 500;
const BACKOFF = { firstMs: 1_000, factor: 2, ceilingMs: 30_000 };

/** Resolves when all were asked or the signal ends it. Each question has a body of at most `bytesMax` bytes. */
export async function askForStatuses(
  db: Db,
  send: Send,
  log: Logger,
  { sourceId, signal, bytesMax }: { sourceId: string; signal: AbortSignal; bytesMax: number },
): Promise<void> {
  let after = "";
  let asked = 0;
  const askPage = async (): Promise<boolean> => {
    const names = await q.consumerNamesAfter(db, after, NAMES_MAX);
    for (const { name } of names) {
      await askConsumer(db, send, { consumerName: name, sourceId, bytesMax });
      if (signal.aborted) return false;
      after = name;
      asked++;
    }
    return names.length === NAMES_MAX;
  };
  const askAll = async () => {
    while (await askPage());
    log.debug("asked all agents for their statuses", { consumers: asked });
  };
  await keepTrying(askAll, {
    backoff: BACKOFF,
    signal,
    failed: (error) => log.warn("cannot ask agents for their statuses, trying again", { error }),
  });
}

/** Asks one agent about all its resources; resolves when the broker has the questions, or nobody listens. */
export async function askConsumer(
  db: Db,
  send: Send,
  options: { consumerName: string; sourceId: string; bytesMax: number },
): Promise<void> {
  const pipeline = createPipeline(send, options.consumerName);
  for await (const question of statusQuestions(db, options)) {
    if (!await pipeline.deliver(question)) break;
  }
  await pipeline.finish();
}

const DIGESTS_AT_ONCE = 32;

/**
 * Tells each agent the digest of the statuses that are stored of it, so that it asks if that is wrong.
 *
 * Go agents find one entry in it, for nothing that they hold, and do nothing.
 */
export async function tellDigests(
  db: Db,
  send: Send,
  { sourceId, isAway }: { sourceId: string; isAway: (consumerName: string) => boolean },
): Promise<void> {
  const dataType = MANIFEST_BUNDLES;
  for (let after = "";;) {
    const names = (await q.consumerNamesAfter(db, after, NAMES_MAX)).map(({ name }) => name);
    const digests = await q.statusDigests(db, names.filter((name) => !isAway(name)), dataType);
    for (let from = 0; from < digests.length; from += DIGESTS_AT_ONCE) {
      const part = digests.slice(from, from + DIGESTS_AT_ONCE);
      await Promise.all(part.map(({ consumer_name: consumerName, digest }) => {
        const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
        const question = statusQuestion({ consumerName, dataType, sourceId }, [NOTHING], made);
        question.extensions[EXT.statusDigest] = digest;
        return send(consumerName, question);
      }));
    }
    if (names.length < NAMES_MAX) return;
    after = names.at(-1) ?? "";
  }
}

/** An empty list would ask for everything. */
const NOTHING: HeldStatus = { resourceId: "-", hash: "" };

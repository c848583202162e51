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
import type { Roll } from "./roll.ts";

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

const AT_ONCE = 32;

/**
 * Lets each of these consumers find what the broker has dropped.
 *
 * One of our agents is told the digest of the statuses that are stored of it, and asks if that is wrong. A Go agent knows no
 * digests, and is asked about each status: for it that is work, so only if `isListDue`. That a message found a listener
 * is also a sign of life.
 */
export async function checkStatuses(
  db: Db,
  send: Send,
  { sourceId, bytesMax, roll }: { sourceId: string; bytesMax: number; roll: Roll },
): Promise<void> {
  const dataType = MANIFEST_BUNDLES;
  const tell = (consumerName: string, digest: string | undefined) => {
    const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
    const question = statusQuestion({ consumerName, dataType, sourceId }, [NOTHING], made);
    if (digest !== undefined) question.extensions[EXT.statusDigest] = digest;
    return send(consumerName, question);
  };
  for (let after = "";;) {
    const names = (await q.consumerNamesAfter(db, after, NAMES_MAX)).map(({ name }) => name);
    const present = names.filter((name) => !roll.isAway(name));
    const digests = await q.statusDigests(db, present.filter(roll.knowsDigests), dataType);
    const digestOf = new Map(digests.map(({ consumer_name, digest }) => [consumer_name, digest]));
    // Those that have none are asked about nothing: the broker's answer says whether somebody listens.
    for (let from = 0; from < present.length; from += AT_ONCE) {
      const part = present.slice(from, from + AT_ONCE);
      await Promise.all(part.map((name) => tell(name, digestOf.get(name))));
    }
    for (const consumerName of present.filter(roll.isListDue)) {
      roll.listed(consumerName);
      await askConsumer(db, send, { consumerName, sourceId, bytesMax });
    }
    if (names.length < NAMES_MAX) return;
    after = names.at(-1) ?? "";
  }
}

/** An empty list would ask for everything, and a Go agent holds nothing of this name. */
const NOTHING: HeldStatus = { resourceId: "-", hash: "" };

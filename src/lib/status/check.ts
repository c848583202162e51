/**
 * Lets agents tell the statuses that differ from what is stored, and find the specs that they lack.
 *
 * After a session was lost an agent is asked about each status. Now and then all are told what is stored of them as one
 * digest, which costs next to nothing, and writes nothing: whatever was lost, and wherever, is found by it.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { keepTrying } from "../keep_trying.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import { EXT, MANIFEST_BUNDLES } from "../wire/event.ts";
import { NOTHING, statusQuestion } from "../wire/resync.ts";
import { formatTime } from "../wire/time.ts";
import { createPipeline, type Send } from "./pipeline.ts";
import { statusQuestions } from "./question.ts";
import type { Roll } from "./roll.ts";

/** The consumers of one page, whose digests one statement makes. */
export const NAMES_MAX = 100;
const BACKOFF = { firstMs: 1_000, factor: 2, ceilingMs: 30_000 };

/** The names of all consumers, page by page. */
export async function* allConsumers(db: Db): AsyncGenerator<string[]> {
  for (let after = "";;) {
    const names = (await q.consumerNamesAfter(db, after, NAMES_MAX)).map(({ name }) => name);
    yield names;
    if (names.length < NAMES_MAX) return;
    after = names.at(-1) ?? "";
  }
}

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
async function askConsumer(
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

/**
 * Asks an agent that has just asked for a resync about all its resources, as reports may have been lost with its session.
 * One of ours says the digest of what it has reported, and need not be asked if that is right.
 */
export async function askAfterResync(
  db: Db,
  send: Send,
  { dataType, statusDigest, storedDigest, ...options }: {
    consumerName: string;
    sourceId: string;
    bytesMax: number;
    dataType: string;
    statusDigest: string | undefined;
    /** What is stored, if it has just been read. */
    storedDigest?: string;
  },
): Promise<void> {
  if (statusDigest !== undefined) {
    const stored = storedDigest ??
      (await q.statusDigests(db, [options.consumerName], dataType))[0]?.digest;
    if (stored === undefined || stored === statusDigest) return;
  }
  await askConsumer(db, send, options);
}

const AT_ONCE = 32;
/**
 * After each page a rest of so many times what PostgreSQL took for it, so that a million resources cost a few percent of a
 * processor, and a round is as long as that takes: what it looks for is rare.
 */
const REST = 19;

/**
 * Lets each of these consumers find what was lost, on the way or by a database that has failed over.
 *
 * One of our agents is told digests of what is stored of it, and asks if they are wrong. A Go agent knows no digests, and
 * is asked about each status: for it that is work, so only if `isListDue`.
 * With `isProbing` those that have no digest are asked about nothing: an MQTT broker's answer says whether they listen.
 */
export async function checkStatuses(
  db: Db,
  send: Send,
  consumers: AsyncIterable<string[]>,
  { sourceId, bytesMax, roll, isProbing, signal }: {
    sourceId: string;
    bytesMax: number;
    roll: Roll;
    isProbing: boolean;
    /** Ends the round early. */
    signal: AbortSignal;
  },
): Promise<void> {
  const dataType = MANIFEST_BUNDLES;
  const tell = (consumerName: string, row: q.StatusDigestsRow | undefined) => {
    const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
    const question = statusQuestion({ consumerName, dataType, sourceId }, [NOTHING], made);
    if (row !== undefined) {
      question.extensions[EXT.statusDigest] = row.digest;
      question.extensions[EXT.versionDigest] = row.version_digest;
    }
    return send(consumerName, question);
  };
  for await (const names of consumers) {
    const present = names.filter((name) => !roll.isAway(name));
    const began = performance.now();
    const digests = await q.statusDigests(db, present.filter(roll.knowsDigests), dataType);
    const tookMs = performance.now() - began;
    const rows = new Map(digests.map((row) => [row.consumer_name, row]));
    const told = isProbing ? present : [...rows.keys()];
    for (let from = 0; from < told.length; from += AT_ONCE) {
      const part = told.slice(from, from + AT_ONCE);
      await Promise.all(part.map((name) => tell(name, rows.get(name))));
    }
    for (const consumerName of present.filter(roll.isListDue)) {
      roll.listed(consumerName);
      await askConsumer(db, send, { consumerName, sourceId, bytesMax });
    }
    await pause(tookMs * REST, signal);
    if (signal.aborted) return;
  }
}

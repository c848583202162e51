/** Asks all agents, one after the other, for the statuses that differ from what is stored. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { keepTrying } from "../keep_trying.ts";
import type { Logger } from "../log.ts";
import { statusQuestions } from "../status/question.ts";
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

/** Asks all agents, one after the other, for the statuses that differ from what is stored. */

import * as q from "../../gen/queries.ts";
import { backoffMs } from "../backoff.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
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
  for (let failures = 0; !signal.aborted;) {
    try {
      const names = await q.consumerNamesAfter(db, after, NAMES_MAX);
      for (const { name } of names) {
        const pipeline = createPipeline(send, name);
        for await (
          const question of statusQuestions(db, {
            consumerName: name,
            sourceId,
            bytesMax,
          })
        ) {
          if (signal.aborted || !await pipeline.deliver(question)) break;
        }
        await pipeline.finish();
        if (signal.aborted) return;
        after = name;
        asked++;
      }
      if (names.length === NAMES_MAX) continue;
      log.debug("asked all agents for their statuses", { consumers: asked });
      return;
    } catch (error) {
      log.warn("cannot ask agents for their statuses, trying again", { error });
      await pause(backoffMs(failures++, BACKOFF, Math.random()), signal);
    }
  }
}

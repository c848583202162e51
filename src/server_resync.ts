/** What agents that ask for a resync over gRPC are answered: first the specs, then a question about statuses. */

import type { Db } from "./lib/db/connect.ts";
import type { AnswerResync } from "./lib/grpc/agents.ts";
import type { Logger } from "./lib/log.ts";
import { createBriefResync } from "./lib/spec/brief_resync.ts";
import { answerSpecResync, noteSpecResync, type ResyncRequest } from "./lib/spec/resync.ts";
import { askAfterResync } from "./lib/status/check.ts";
import type { Send } from "./lib/status/pipeline.ts";

/** Makes the answer for a door. `sendTo` is the way to an agent. */
export function createResyncAnswer(
  db: Db,
  sendTo: Send,
  log: Logger,
  { sourceId, questionBytesMax: bytesMax }: { sourceId: string; questionBytesMax: number },
): AnswerResync {
  const brief = createBriefResync(db, log);
  return (delivery, { name: consumerName, connectedAt }, asked) => {
    const { statusDigest, versionDigest, dataType, held, range } = asked;
    const request: ResyncRequest = {
      ...{ consumerName, connectedAt, sourceId, dataType, held, range },
    };
    const question = { consumerName, sourceId, dataType, statusDigest, bytesMax };
    const answerList = async () => {
      await answerSpecResync(db, delivery, log, await noteSpecResync(db, request));
      if (range.through === undefined) await askAfterResync(db, sendTo, question);
    };
    if (versionDigest === undefined) return { compared: Promise.resolve(), answered: answerList() };
    const compared = brief.compare(request, versionDigest);
    const answerDigest = async () => {
      const believed = await compared;
      await brief.answer(delivery, request, believed);
      const { isRight, statusDigest: storedDigest } = believed;
      if (isRight) await askAfterResync(db, sendTo, { ...question, storedDigest });
    };
    return { compared, answered: answerDigest() };
  };
}

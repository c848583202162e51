/** What agents send over MQTT: reports are stored, questions answered, and only then acknowledged. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { describeError, MaestroError, maySucceedLater } from "../errors.ts";
import { keepTrying } from "../keep_trying.ts";
import { createKeyedQueue } from "../keyed_queue.ts";
import type { Logger } from "../log.ts";
import { type Believed, createBriefResync } from "../spec/brief_resync.ts";
import { answerSpecResync, type NotedRequest, noteSpecResync } from "../spec/resync.ts";
import { createReportAcceptor, readReport } from "../status/accept.ts";
import { askAfterResync } from "../status/check.ts";
import { createPipeline, type Send } from "../status/pipeline.ts";
import type { Roll } from "../status/roll.ts";
import { createKeyedTurns } from "../turns.ts";
import {
  type CloudEvent,
  EXT,
  isWorkType,
  optionalStringExtension,
  stringExtension,
} from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import { decodeMqtt, type ReceivedMessage } from "../wire/mqtt.ts";
import { decodeSpecResync, resyncRange } from "../wire/resync.ts";
import type { Pace } from "./pace.ts";

export interface ReceptionOptions {
  send: Send;
  pace: Pace;
  sourceId: string;
  /** The largest body of a question, in bytes. */
  bodyBytesMax: () => number;
  roll: Roll;
  /** Called with each sign of life of an agent. */
  heard: (consumerName: string, agentVersion?: string) => void;
  /** Called when reports have been stored. */
  reported: () => void;
  log: Logger;
}

export interface Reception extends AsyncDisposable {
  /**
   * Takes a message. What cannot be stored is tried again until the connection ends, and stays the broker's. Disposing
   * waits for what is under way.
   */
  receive(message: ReceivedMessage, connection: AbortSignal, acknowledge: () => void): void;
}

const STORE_BACKOFF = { firstMs: 100, factor: 2, ceilingMs: 5_000 };
/** A message that fails for no reason that we know must not hold up all others for ever: half a minute is enough. */
const ODD_ATTEMPTS = 10;
const ANSWER_BACKOFF = { firstMs: 500, factor: 2, ceilingMs: 30_000 };
/** Each holds a hundred documents, of 50 MB together if they are as large as they can be. */
const ANSWERS_AT_ONCE = 8;
/** Ids that waiting questions list together, about 100 MB. Beyond, the ledger alone answers, a little later. */
const HELD_MAX = 1_000_000;

/** A request. Of an agent of ours with the digest of what it has reported, and whether what it holds is right. */
type Question = NotedRequest & {
  statusDigest: string | undefined;
  believed: Believed | undefined;
};

/** Makes the receiving half of the door. */
export function createReception(db: Db, options: ReceptionOptions): Reception {
  const { send, pace, sourceId, bodyBytesMax, roll, heard, log } = options;
  const acceptReport = createReportAcceptor(db, log, options.reported);
  const brief = createBriefResync(db, log);
  /** Of a consumer: reports side by side, and a comparison between those before it and those after it. */
  const turns = createKeyedTurns();
  const questions = new Map<string, Question>();
  const stop = new AbortController();
  const underWay = new Set<Promise<void>>();
  let heldCount = 0;

  const forget = (key: string) => {
    const request = questions.get(key);
    if (request === undefined) return;
    heldCount -= weightOf(request);
    questions.delete(key);
  };

  const answer = async (key: string): Promise<undefined> => {
    const request = questions.get(key);
    if (request === undefined) return;
    const pipeline = createPipeline(send, request.consumerName);
    const room = async () => {
      await pace.room(request.consumerName, stop.signal);
      return !stop.signal.aborted && await pipeline.room();
    };
    const delivery = { push: pipeline.push, room };
    const { consumerName, dataType, statusDigest, believed, range } = request;
    const question = { consumerName, sourceId, dataType, statusDigest, bytesMax: bodyBytesMax() };
    // After either the statuses: the agent's connection was lost, and with it perhaps reports that the broker had taken.
    if (believed !== undefined) {
      await brief.answer(delivery, request, believed);
      await pipeline.finish();
      const { isRight, statusDigest: storedDigest } = believed;
      if (isRight) await askAfterResync(db, send, { ...question, storedDigest });
    } else {
      await answerSpecResync(db, delivery, log, request);
      await pipeline.finish();
      if (range.through === undefined) await askAfterResync(db, send, question);
    }
    // A newer question of the same agent may have come meanwhile; then this key runs again.
    if (questions.get(key) === request) forget(key);
  };
  const answers = createKeyedQueue(answer, {
    name: "spec-resync",
    workers: ANSWERS_AT_ONCE,
    backoff: ANSWER_BACKOFF,
    log,
  });

  const noteQuestion = async (event: CloudEvent, dataType: string): Promise<void> => {
    // Nothing of another type is held here, so there is nothing to answer.
    if (!isWorkType(dataType)) return;
    const consumerName = stringExtension(event, EXT.clusterName);
    const source = event.extensions[EXT.originalSource];
    // Asked of another source, on a topic that all sources hear (quirk Q3 of the wire).
    if (typeof source === "string" && source !== "" && source !== sourceId) return;
    const [held, range] = [decodeSpecResync(event.data), resyncRange(event)];
    const versionDigest = optionalStringExtension(event, EXT.versionDigest);
    // Before anything is waited for: the agent reports at once what comes after its question.
    const comparing = versionDigest === undefined
      ? undefined
      : turns.alone(consumerName, () => brief.compare({ consumerName, dataType }, versionDigest));
    const [[row], believed] = await Promise.all([q.clockNow(db), comparing]);
    // What is sent from now on is on its way.
    const connectedAt = row?.now ?? "";
    const request = { consumerName, dataType, held, range, sourceId, connectedAt };
    // A digest lacks nothing.
    const noted = believed === undefined
      ? await noteSpecResync(db, request)
      : { ...request, doubtful: [] };
    const key = [consumerName, dataType, range.after].join("\0");
    forget(key);
    if (heldCount + weightOf(noted) > HELD_MAX) return;
    heldCount += weightOf(noted);
    const statusDigest = optionalStringExtension(event, EXT.statusDigest);
    questions.set(key, { ...noted, statusDigest, believed });
    answers.add(key);
  };

  /** Once, and not with each attempt to store it: then the bytes around it need not be kept. */
  const decode = (message: ReceivedMessage): CloudEvent | undefined => {
    try {
      return decodeMqtt(message);
    } catch (error) {
      log.warn("cannot use a message", { reason: describeError(error) });
      return undefined;
    }
  };

  const take = async (event: CloudEvent): Promise<true> => {
    const { action, subresource, dataType } = parseEventType(event.type);
    const consumerName = event.extensions[EXT.clusterName];
    if (typeof consumerName === "string") {
      const version = event.extensions[EXT.agentVersion];
      roll.heard(consumerName, { isOurs: version !== undefined });
      heard(consumerName, typeof version === "string" ? version : undefined);
    }
    if (action === ACTION.resyncRequest) await noteQuestion(event, dataType);
    else if (subresource === "status") {
      const report = readReport(event, sourceId);
      await turns.together(report.consumerName, () => acceptReport(report));
      pace.reported(report.consumerName, report.resourceId);
    } else throw new MaestroError("invalid_argument", `unsupported event type ${event.type}`);
    return true;
  };

  const untilTaken = (event: CloudEvent, connection: AbortSignal) =>
    keepTrying(() => take(event), {
      backoff: STORE_BACKOFF,
      signal: connection,
      failed(error, attempt) {
        if (isSenseless(error) || (!maySucceedLater(error) && attempt >= ODD_ATTEMPTS)) throw error;
        if (attempt === 0) log.warn("cannot store a message, trying again", { error });
      },
    }).catch((error) => {
      if (isSenseless(error)) log.warn("cannot use a message", { reason: describeError(error) });
      else log.error("cannot use a message, letting it go", { error });
      return true;
    });

  return {
    receive(message, connection, acknowledge) {
      const event = decode(message);
      if (event === undefined) return acknowledge();
      // Never rejects: whatever goes wrong is tried again, or logged.
      const storing = untilTaken(event, connection).then((isTaken) => {
        if (isTaken) acknowledge();
        underWay.delete(storing);
      });
      underWay.add(storing);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await answers[Symbol.asyncDispose]();
      await Promise.all(underWay);
    },
  };
}

/** A question takes its place even if it lists nothing. */
function weightOf({ held }: NotedRequest): number {
  return held.length + 1;
}

/** It would make no more sense if it came again. */
function isSenseless(error: unknown): boolean {
  return error instanceof MaestroError && error.code === "invalid_argument";
}

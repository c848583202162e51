/** The route for those who speak plain CloudEvents: the same events as over gRPC, alone or in a batch. */

import type { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { MaestroError } from "../errors.ts";
import { readSpecChange } from "../spec/change.ts";
import type { SpecDoor } from "../spec/door.ts";
import type { CloudEvent } from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import { type BatchEntry, decodeBatch, decodeHttpBinary } from "../wire/http.ts";
import { decodeStructured } from "../wire/structured.ts";
import { authorizeSource } from "./authorize.ts";
import { readText } from "./body.ts";
import { readContentType } from "./documents.ts";
import { explainError } from "./errors.ts";
import { addRoute, type RestContext, type RestEnv, sendJson, sendNothing } from "./routes.ts";

const PATH = "/api/maestro/v1/cloudevents";
const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";
/** Each of them may wait for the database; together they share its statements. */
const BATCH_MAX = 1_000;

interface EventParts {
  spec: SpecDoor;
}

/**
 * Adds `/cloudevents`.
 *
 * An event that is accepted is answered with 204, a batch with 200 and a list that says of each what became of it. A
 * refused event of a batch does not keep the others from being accepted.
 */
export function addCloudEventRoutes(
  app: Hono<RestEnv>,
  { spec }: EventParts,
): void {
  addRoute(app, PATH, {
    async POST(c) {
      const { type, charset } = readContentType(c.req.raw.headers);
      const body = await readText(c, { charset });
      if (type !== BATCH) {
        const isBinary = type !== STRUCTURED;
        await accept(
          c,
          spec,
          isBinary ? readBinary(c.req.raw.headers, type, body) : decodeStructured(body),
        );
        return sendNothing(c);
      }
      const entries = decodeBatch(body, { max: BATCH_MAX });
      // Started in their order, which those of one resource keep.
      const items = await Promise.all(entries.map((entry) => answerEntry(c, { spec }, entry)));
      return sendJson(c, 200, { kind: "CloudEventResultList", size: items.length, items });
    },
  });
}

async function answerEntry(
  c: RestContext,
  { spec }: EventParts,
  entry: BatchEntry,
) {
  const { id, source } = "error" in entry ? { id: undefined, source: undefined } : entry;
  try {
    if ("error" in entry) throw entry.error;
    await accept(c, spec, entry);
    return { id, source, status: 204 };
  } catch (error) {
    const { status, number, reason } = explainError(error);
    if (status >= 500) {
      c.get("log").error("cannot accept an event of a batch", { event_id: id, error });
    }
    return { id, source, status, code: `maestro-${number}`, reason };
  }
}

async function accept(c: RestContext, spec: SpecDoor, event: CloudEvent): Promise<void> {
  const type = parseEventType(event.type);
  if (type.action === ACTION.resyncRequest) {
    throw refuse(event.type, "its answer is a stream: subscribe and publish it over gRPC");
  }
  if (type.subresource === "status") {
    throw refuse(event.type, "statuses come from agents, over MQTT or gRPC");
  }
  authorizeSource(c, event.source);
  await spec.accept(readSpecChange(event, type));
}

function refuse(type: string, reason: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot accept "${type}" over HTTP: ${reason}`);
}

function readBinary(headers: Headers, type: string, body: string): CloudEvent {
  if (!headers.has("ce-specversion")) {
    throw unsupported(
      `the body must be ${STRUCTURED} or ${BATCH}, or the headers must have ce-specversion`,
    );
  }
  const isJson = type === "" || type === "application/json" || type.endsWith("+json");
  if (body !== "" && (!isJson || type.startsWith("application/cloudevents"))) {
    throw unsupported(`the data must be application/json, not "${type.slice(0, 100)}"`);
  }
  return decodeHttpBinary(headers, body);
}

function unsupported(message: string): HTTPException {
  return new HTTPException(415, { message: `Cannot read the event: ${message}` });
}

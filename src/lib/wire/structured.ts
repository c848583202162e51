/** Events as one JSON document: CloudEvents structured mode, and what the database keeps. */

import { MaestroError } from "../errors.ts";
import { isObject, type JsonObject, parseJsonObject, rawNumber } from "../json.ts";
import {
  type CloudEvent,
  eventProblem,
  EXT,
  type ExtensionValue,
  isExtensionName,
  isInt32,
} from "./event.ts";

const CORE = ["id", "source", "type", "time", "datacontenttype", "subject", "dataschema"] as const;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The JSON text of an event, `data` embedded as it is. Keys in the order that Go's SDK writes. */
export function encodeStructured(event: CloudEvent): string {
  const { subject, datacontenttype, dataschema, time, data, extensions } = event;
  let text = `{"specversion":"1.0","id":${JSON.stringify(event.id)}`;
  text += `,"source":${JSON.stringify(event.source)},"type":${JSON.stringify(event.type)}`;
  if (subject !== undefined) text += `,"subject":${JSON.stringify(subject)}`;
  if (datacontenttype !== undefined) {
    text += `,"datacontenttype":${JSON.stringify(datacontenttype)}`;
  }
  if (dataschema !== undefined) text += `,"dataschema":${JSON.stringify(dataschema)}`;
  if (time !== undefined) text += `,"time":${JSON.stringify(time)}`;
  if (data !== undefined) text += `,"data":${data}`;
  for (const name of Object.keys(extensions).sort()) {
    const value = extensions[name];
    const written = value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
    text += `,${JSON.stringify(name)}:${JSON.stringify(written)}`;
  }
  return `${text}}`;
}

/** Reads structured JSON. Throws `invalid_argument` if a core attribute is missing or mistyped. */
export function decodeStructured(text: string): CloudEvent {
  return readStructured(parseJsonObject(text, "the cloudevent"));
}

/** Reads an event that is part of a parsed document. */
export function readStructured(document: JsonObject): CloudEvent {
  const { specversion, data, data_base64: base64 } = document;
  if (specversion !== "1.0" && specversion !== "0.3") {
    throw invalid('specversion must be "1.0"');
  }
  const event: CloudEvent = { id: "", source: "", type: "", extensions: {} };
  for (const name of CORE) {
    const value = document[name];
    if (typeof value === "string") event[name] = value;
    else if (value !== undefined && value !== null) throw invalid(`${name} must be a string`);
  }
  for (const name of Object.keys(document)) {
    const value = document[name];
    if (value === null || !isExtensionName(name)) continue;
    event.extensions[name] = extension(name, value);
  }
  const payload = readData(data, base64);
  if (payload !== undefined) event.data = payload;
  const problem = eventProblem(event);
  if (problem !== undefined) throw invalid(problem);
  return event;
}

/** Peers write data as it is or, if they had bytes only, in base64. Null is no data. */
function readData(data: unknown, base64: unknown): string | undefined {
  if (base64 === undefined || base64 === null) {
    return data === undefined || data === null ? undefined : JSON.stringify(data);
  }
  if (data !== undefined && data !== null) throw invalid("it has both data and data_base64");
  if (typeof base64 !== "string") throw invalid("data_base64 must be a string");
  try {
    return utf8.decode(Buffer.from(base64, "base64"));
  } catch (cause) {
    throw invalid("its data is not UTF-8", cause);
  }
}

function extension(name: string, value: unknown): ExtensionValue {
  if (typeof value === "string" || typeof value === "boolean") return value;
  const number = typeof value === "number" ? value : Number(rawNumber(value) ?? NaN);
  // CloudEvents knows 32-bit integers only. Peers cut off a fraction.
  if (isInt32(Math.trunc(number))) return Math.trunc(number) + 0;
  // Stored events keep their metadata expanded, so that it can be searched.
  if (name === EXT.metadata && isObject(value)) return JSON.stringify(value);
  throw invalid(`extension ${name} must be a string, a 32-bit integer or a boolean`);
}

function invalid(state: string, cause?: unknown): MaestroError {
  return new MaestroError("invalid_argument", `failed to decode cloudevent: ${state}`, { cause });
}

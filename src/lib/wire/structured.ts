/** Events as one JSON document: CloudEvents structured mode, and what the database keeps. */

import { MaestroError } from "../errors.ts";
import { isObject, parseJson } from "../json.ts";
import type { CloudEvent, ExtensionValue } from "./event.ts";

const CORE = ["id", "source", "type", "time", "datacontenttype", "subject", "dataschema"] as const;

/** The JSON text of an event, `data` embedded as it is. Keys in the order that Go's SDK writes. */
export function encodeStructured(event: CloudEvent): string {
  const data = event.data === undefined ? "" : `,"data":${event.data}`;
  const head: Record<string, unknown> = { specversion: "1.0", id: event.id, source: event.source };
  head["type"] = event.type;
  if (event.subject !== undefined) head["subject"] = event.subject;
  if (event.datacontenttype !== undefined) head["datacontenttype"] = event.datacontenttype;
  if (event.dataschema !== undefined) head["dataschema"] = event.dataschema;
  if (event.time !== undefined) head["time"] = event.time;
  const extensions = Object.keys(event.extensions).sort().map((name) => {
    const value = event.extensions[name];
    const written = value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
    return `,${JSON.stringify(name)}:${JSON.stringify(written)}`;
  });
  return JSON.stringify(head).slice(0, -1) + data + extensions.join("") + "}";
}

/** Reads structured JSON. Throws `invalid_argument` if a core attribute is missing or mistyped. */
export function decodeStructured(text: string): CloudEvent {
  let document: unknown;
  try {
    document = parseJson(text);
  } catch (cause) {
    throw invalid("it is not JSON", cause);
  }
  if (!isObject(document)) throw invalid("it must be a JSON object");
  const { specversion, data, data_base64: base64, ...rest } = document;
  if (specversion !== "1.0" && specversion !== "0.3") {
    throw invalid('specversion must be "1.0"');
  }
  const event: CloudEvent = { id: "", source: "", type: "", extensions: {} };
  for (const name of CORE) {
    const value = rest[name];
    delete rest[name];
    if (typeof value === "string") event[name] = value;
    else if (value !== undefined && value !== null) throw invalid(`${name} must be a string`);
    else if (name === "id" || name === "source" || name === "type") {
      throw invalid(`${name} is missing`);
    }
  }
  for (const [name, value] of Object.entries(rest)) {
    if (value === null) continue;
    event.extensions[name] = extension(name, value);
  }
  if (typeof base64 === "string") event.data = Buffer.from(base64, "base64").toString("utf8");
  else if (data !== undefined) event.data = JSON.stringify(data);
  return event;
}

function extension(name: string, value: unknown): ExtensionValue {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  // Stored events keep their metadata expanded, so that it can be searched.
  if (name === "metadata" && isObject(value)) return JSON.stringify(value);
  throw invalid(`extension ${name} must be a string, a number or a boolean`);
}

function invalid(state: string, cause?: unknown): MaestroError {
  return new MaestroError("invalid_argument", `failed to decode cloudevent: ${state}`, { cause });
}

/** Events as HTTP requests: the CloudEvents HTTP binding 1.0.2, for those who speak plain CloudEvents. */

import { MaestroError } from "../errors.ts";
import { isObject, parseDocument } from "../json.ts";
import type { CloudEvent } from "./event.ts";
import { readStructured } from "./structured.ts";
import { PREFIX, readAttributes } from "./text_attributes.ts";

/** Reads a request in binary mode: attributes in headers, data in the body. */
export function decodeHttpBinary(
  headers: Iterable<readonly [name: string, value: string]>,
  body: string,
): CloudEvent {
  const decoded = [...headers]
    .filter(([name]) => name.startsWith(PREFIX))
    .map(([name, value]): [string, string] => [name, decodeHeader(value)]);
  const event = readAttributes(decoded, invalid);
  if (body !== "") {
    event.datacontenttype = "application/json";
    event.data = body;
  }
  return event;
}

/** An entry of a batch: an event, or why it is none. */
export type BatchEntry = CloudEvent | { error: unknown };

/**
 * Reads a batch of structured events, each for itself.
 *
 * Throws `invalid_argument` if the body is no list, or has more than `max` entries.
 */
export function decodeBatch(body: string, { max }: { max: number }): BatchEntry[] {
  const list = parseDocument(body, "the batch");
  if (!Array.isArray(list)) throw invalid("a batch must be a JSON array");
  if (list.length > max) throw invalid(`the batch has ${list.length} events, at most are ${max}`);
  return list.map((entry: unknown) => {
    try {
      if (!isObject(entry)) throw invalid("an entry of the batch must be a JSON object");
      return readStructured(entry);
    } catch (error) {
      return { error };
    }
  });
}

// §3.1.3.2: quotes first, as older versions of the binding allowed them, then one round of percent-decoding.
function decodeHeader(value: string): string {
  const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
  const text = isQuoted ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
  try {
    return decodeURIComponent(text);
  } catch {
    // Some SDKs do not encode: a lone "%" of theirs means itself.
    return text;
  }
}

function invalid(state: string): MaestroError {
  return new MaestroError("invalid_argument", `failed to decode cloudevent: ${state}`);
}

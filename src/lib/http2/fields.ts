/** Lists of headers, and what makes them malformed (RFC 9113 §8.2 and §8.3). */

import { CODE, Http2Error } from "./frames.ts";
import type { DecodeBlock } from "./hpack.ts";

/** By name, with pseudo-headers; one that came several times has all its values, joined by commas. */
export type Headers = ReadonlyMap<string, string>;

/** What a field counts beside its texts (§6.5.2). */
export const FIELD_BYTES = 32;

/** They speak of one connection of HTTP/1.1 (§8.2.2). */
const OF_CONNECTIONS = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

export interface FieldRules {
  streamId: number;
  /** By the count of §6.5.2. */
  headerBytesMax: number;
}

const REQUEST_PSEUDO = new Set([":method", ":scheme", ":path", ":authority"]);
const ANSWER_PSEUDO = new Set([":status"]);
const NO_PSEUDO = new Set<string>();

/**
 * Reads the header block of a request to its end, as the next one depends on it. Throws for this stream where the request is
 * malformed or its headers are more than `headerBytesMax`.
 */
export function readRequest(decode: DecodeBlock, block: Buffer, rules: FieldRules): Headers {
  const headers = readFields(decode, block, REQUEST_PSEUDO, rules);
  for (const name of [":method", ":scheme", ":path"]) {
    if (!headers.get(name)) throw malformed(`${name} is missing`, rules);
  }
  return headers;
}

/** The same for an answer. */
export function readAnswer(decode: DecodeBlock, block: Buffer, rules: FieldRules): Headers {
  const headers = readFields(decode, block, ANSWER_PSEUDO, rules);
  // Nobody switches protocols any more (§8.6).
  if (/^(?!101)[1-9]\d\d$/.test(headers.get(":status") ?? "")) return headers;
  throw malformed("an answer has no status", rules);
}

/** The same for trailers. */
export function readTrailers(decode: DecodeBlock, block: Buffer, rules: FieldRules): Headers {
  return readFields(decode, block, NO_PSEUDO, rules);
}

function readFields(
  decode: DecodeBlock,
  block: Buffer,
  pseudo: ReadonlySet<string>,
  rules: FieldRules,
): Headers {
  const { streamId, headerBytesMax } = rules;
  const headers = new Map<string, string>();
  let bytes = 0;
  let isPseudoOver = false;
  let fault: string | undefined;
  decode(block, (name, value) => {
    bytes += name.length + value.length + FIELD_BYTES;
    if (bytes > headerBytesMax || fault !== undefined) return;
    const before = headers.get(name);
    if (name.charCodeAt(0) === COLON) {
      if (isPseudoOver || before !== undefined || !pseudo.has(name)) {
        fault = `${name} has no place there`;
      }
      headers.set(name, value);
      return;
    }
    isPseudoOver = true;
    if (!isName(name)) fault = "a header has a name that cannot be";
    else if (!isValue(value)) fault = `${name} has a value that cannot be`;
    else if (OF_CONNECTIONS.has(name) || (name === "te" && value !== "trailers")) {
      fault = `${name} does not belong into HTTP/2`;
    }
    headers.set(name, before === undefined ? value : `${before}${glue(name)}${value}`);
  });
  if (bytes > headerBytesMax) {
    throw new Http2Error(CODE.enhanceYourCalm, `headers of ${bytes} bytes are too many`, streamId);
  }
  if (fault !== undefined) throw malformed(fault, rules);
  return headers;
}

function malformed(fault: string, { streamId }: FieldRules): Http2Error {
  return new Http2Error(CODE.protocolError, fault, streamId);
}

const COLON = 58;

function glue(name: string): string {
  return name === "cookie" ? "; " : ", ";
}

/** Visible characters, neither upper case nor a colon (§8.2.1). */
function isName(name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code <= 32 || code >= 127 || code === COLON || (code >= 65 && code <= 90)) return false;
  }
  return name !== "";
}

function isValue(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code === 0 || code === 10 || code === 13) return false;
  }
  return true;
}

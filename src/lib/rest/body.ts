/** Reads request bodies: how large, of what shape, and which members they may have. */

import { HTTPException } from "hono/http-exception";
import { describeError, MaestroError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import { BODY_UNREADABLE } from "./errors.ts";
import type { RestContext } from "./routes.ts";

/** As much as a gRPC message may have, so that both doors take the same bundles. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;

/**
 * How much of a body that is too large is read and dropped before the refusal, in such bodies.
 *
 * Over HTTP/2 a client that is still sending may never see an answer.
 */
const DROPPED_FACTOR = 4;

/** Slow or hostile: whoever sends for so long keeps a connection and memory. */
const BODY_TIMEOUT_MS = 20_000;

export interface BodyLimits {
  charset?: string;
  bytesMax?: number;
}

/** Reads a body as text. Throws what the client did wrong. */
export async function readText(c: RestContext, limits: BodyLimits = {}): Promise<string> {
  const { charset = "utf-8", bytesMax = BODY_BYTES_MAX } = limits;
  let decoder: TextDecoder;
  try {
    // The client's word: the constructor throws if it knows no such charset.
    decoder = new TextDecoder(charset as Bun.Encoding, { fatal: true });
  } catch (cause) {
    const message = `Unable to read request body: unknown charset "${charset.slice(0, 100)}"`;
    throw new HTTPException(415, { message, cause });
  }
  const bytes = await readBytes(c, bytesMax);
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw invalidFormat(`it is not ${decoder.encoding.toUpperCase()}`, cause);
  }
}

/** Reads a body whole. Throws what the client did wrong. */
export async function readBytes(
  c: RestContext,
  bytesMax = BODY_BYTES_MAX,
): Promise<Uint8Array> {
  const timeoutMs = c.get("bodyTimeoutMs") ?? BODY_TIMEOUT_MS;
  const request = c.req.raw;
  const takeBytes = c.get("takeBytes");
  const droppedMax = DROPPED_FACTOR * bytesMax;
  if (Number(request.headers.get("content-length") ?? 0) > droppedMax) throw tooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooSlow(timeoutMs)), timeoutMs);
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      length += value.length;
      if (length > droppedMax) throw tooLarge(bytesMax);
      if (length > bytesMax) continue;
      takeBytes?.(value.length);
      chunks.push(value);
    }
  } catch (cause) {
    // What the client still sends is dropped; that it cannot be stopped any more is no failure.
    void reader.cancel().catch(() => undefined);
    if (cause instanceof HTTPException || cause instanceof MaestroError) throw cause;
    const reason = `Unable to read request body: ${describeError(cause)}`;
    throw new MaestroError("invalid_argument", reason, { cause, peerNumber: BODY_UNREADABLE });
  } finally {
    clearTimeout(timer);
  }
  if (length > bytesMax) throw tooLarge(bytesMax);
  return Buffer.concat(chunks, length);
}

/** Throws if the body has members of other names. */
export function refuseUnknown(body: JsonObject, known: readonly string[]): void {
  const unknown = Object.keys(body).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  const shown = unknown.slice(0, 10).map((key) => JSON.stringify(key.slice(0, 100))).join(", ");
  const noun = unknown.length === 1 ? "field" : "fields";
  throw invalid(`unknown ${noun} ${shown}; known are ${known.join(", ")}`);
}

/** A general validation failure. */
export function invalid(reason: string): MaestroError {
  return new MaestroError("invalid_argument", reason);
}

/** A body that cannot be understood. */
export function invalidFormat(reason: string, cause?: unknown): MaestroError {
  const message = `Invalid request format: ${reason}`;
  return new MaestroError("invalid_argument", message, { cause, peerNumber: BODY_UNREADABLE });
}

function tooLarge(bytesMax: number): HTTPException {
  return new HTTPException(413, {
    message: `Unable to read request body: it is larger than ${bytesMax} bytes`,
  });
}

function tooSlow(timeoutMs: number): HTTPException {
  return new HTTPException(408, {
    message: `Unable to read request body: it did not arrive within ${timeoutMs} ms`,
  });
}

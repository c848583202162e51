/**
 * Requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): whoever got no answer sends the same
 * again, and gets the answer of the first.
 */

import { createHash } from "node:crypto";
import { HTTPException } from "hono/http-exception";
import { MaestroError } from "../errors.ts";
import type { Receipt } from "../spec/accept.ts";
import type { KeptAnswer, KeyedRequest, RequestKeys } from "../spec/request_keys.ts";
import { answerError } from "./answer_error.ts";
import { explainError } from "./errors.ts";
import { badRequest } from "./list.ts";
import type { RestContext } from "./routes.ts";
import { isDryRun } from "./write_options.ts";

const HEADER = "Idempotency-Key";
const KEY = /^[\x21-\x7e]{1,255}$/;
/** What belongs to the answer and not to the request that brought it. */
const KEPT_HEADERS = ["Content-Type", "ETag", "Location", "Retry-After"];

export interface OnceParts {
  keys: RequestKeys;
}

/**
 * Answers a request, or gives the answer again that it got before.
 *
 * `answer` gets what the receipts of its changes begin with, so that none is made twice. What passes, as an outage or
 * overload, is no answer that is kept.
 */
export async function answerOnce(
  c: RestContext,
  { keys }: OnceParts,
  text: string,
  answer: (receipt: Receipt | undefined) => Promise<Response>,
): Promise<Response> {
  const key = parseKey(c.req.header(HEADER));
  if (key === undefined || isDryRun(c)) return await answer(undefined);
  const request: KeyedRequest = { caller: callerKey(c), key, fingerprint: fingerprint(c, text) };
  const claim = await keys.claim(request);
  if (claim.state === "other") {
    const message = `the ${HEADER} was used for another request`;
    throw new HTTPException(422, { message });
  }
  if (claim.state === "busy") {
    c.header("Retry-After", "1");
    throw new MaestroError("conflict", `the request with this ${HEADER} is under way`);
  }
  if (claim.state === "answered") return replay(c, claim.answer);
  const { requestId } = claim;
  try {
    const response = await answer(requestId).catch((error) => {
      if (isPassing(error)) throw error;
      return answerError(error, c);
    });
    const kept = await readAnswer(response);
    // Not being able to remember is no failure of the request: it is tried again by its receipts.
    await keys.keep(request, requestId, kept).catch((error) =>
      c.get("log").warn("cannot keep the answer of a request", { error })
    );
    return response;
  } catch (error) {
    await keys.release(request, requestId).catch((cause) =>
      c.get("log").warn("cannot release a request", { error: cause })
    );
    throw error;
  }
}

// The draft has a structured string, in quotes; most clients send the bare key.
function parseKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const key = /^"(.*)"$/.exec(header.trim())?.[1] ?? header.trim();
  if (KEY.test(key)) return key;
  throw badRequest(`the header ${HEADER} must be 1 to 255 printable characters`);
}

function callerKey(c: RestContext): string {
  const caller = c.get("caller");
  if (caller === undefined) return "";
  const { name, isAdmin, claims } = caller;
  return digest(JSON.stringify([isAdmin, name, claims["iss"] ?? null, claims["sub"] ?? null]));
}

function fingerprint(c: RestContext, text: string): string {
  const { pathname, search } = new URL(c.req.url);
  const headers = ["Content-Type", "If-Match", "If-None-Match"]
    .map((name) => c.req.header(name) ?? "");
  return digest(JSON.stringify([c.req.method, pathname, search, ...headers, text]));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function isPassing(error: unknown): boolean {
  const { status } = explainError(error);
  return status >= 500 || status === 429 || status === 408;
}

async function readAnswer(response: Response): Promise<KeptAnswer> {
  const headers = KEPT_HEADERS
    .map((name) => [name, response.headers.get(name)] as const)
    .filter((entry): entry is readonly [string, string] => entry[1] !== null);
  return {
    status: response.status,
    headers: Object.fromEntries(headers),
    body: await response.clone().text(),
  };
}

function replay(c: RestContext, { status, headers, body }: KeptAnswer): Response {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  c.header("Idempotency-Replayed", "true");
  c.header("Vary", "Authorization");
  c.status(status as Parameters<RestContext["status"]>[0]);
  return body === "" ? c.body(null) : c.body(body);
}

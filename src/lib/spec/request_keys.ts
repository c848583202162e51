/**
 * Requests that may come again: each is answered once, and comes back to the same answer for a day.
 *
 *     claimed ──▶ answered          the answer is kept, whichever replica is asked
 *        │  ▲
 *        ▼  │ tried again           after an outage, or when whoever began it is dead
 *     given up
 *
 * The changes of a request have receipts, which are stored by the statements that make them. So a request that was cut
 * off between its change and its answer is tried again without changing anything twice.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";

/** A request that has a key. */
export interface KeyedRequest {
  /** Keys of one caller are none of another's. */
  caller: string;
  key: string;
  /** Tells requests apart that have the same key by mistake. */
  fingerprint: string;
}

/** An answer as it was first given. */
export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** What becomes of a request with a key. */
export type Claim =
  | { state: "ours"; requestId: string }
  | { state: "answered"; answer: KeptAnswer }
  | { state: "busy" }
  | { state: "other" };

export interface RequestKeys {
  /** Throws `resource_exhausted` if too many are kept. */
  claim(request: KeyedRequest): Promise<Claim>;
  keep(request: KeyedRequest, requestId: string, answer: KeptAnswer): Promise<void>;
  /** Gives up without an answer. */
  release(request: KeyedRequest, requestId: string): Promise<void>;
}

const DAY_SECONDS = 24 * 3600;
/** Receipts of a request that was tried at the end of its day must outlive it. */
const RECEIPT_SECONDS = DAY_SECONDS + 3600;
/** Longer than any request takes. */
const CLAIM_SECONDS = 60;
const PURGE_MAX = 1_000;
/** Beyond either of them new keys are refused, since forgetting one early could make a change twice. */
const KEYS_MAX = 200_000;
const BODY_BYTES_MAX = 1024 ** 3;
const MEASURE_MS = 60_000;

/** Creates the memory of requests; it lives in the database. */
export function createRequestKeys(
  db: Db,
  { keysMax = KEYS_MAX, bodyBytesMax = BODY_BYTES_MAX }: {
    keysMax?: number;
    bodyBytesMax?: number;
  } = {},
): RequestKeys {
  let kept = 0;
  let isFull = false;
  let measuredMs = -Infinity;
  const measure = async () => {
    measuredMs = performance.now();
    const [found] = await q.requestKeyMeasure(db, keysMax);
    kept = found?.kept ?? 0;
    isFull = (found?.body_bytes ?? 0) >= bodyBytesMax;
  };
  return {
    async claim(request) {
      const { caller, key, fingerprint } = request;
      const found = await get(db, request);
      if (found !== undefined && found.state !== "busy") return found;
      if (performance.now() - measuredMs > MEASURE_MS) await measure();
      if (found === undefined && (isFull || kept >= keysMax)) {
        const reason = `Cannot remember an Idempotency-Key: ${kept} are kept already`;
        throw new MaestroError("resource_exhausted", reason);
      }
      const id = crypto.randomUUID();
      const [claimed] = await q.requestKeyClaim(
        db,
        ...[caller, key, id, fingerprint, CLAIM_SECONDS, DAY_SECONDS] as const,
      );
      if (claimed === undefined) return await get(db, request) ?? { state: "busy" };
      if (claimed.request_id === id) kept++;
      return { state: "ours", requestId: claimed.request_id };
    },
    async keep({ caller, key }, requestId, { status, headers, body }) {
      await q.requestKeyKeep(db, caller, key, requestId, status, JSON.stringify(headers), body);
    },
    async release({ caller, key }, requestId) {
      await q.requestKeyRelease(db, caller, key, requestId);
    },
  };
}

async function get(db: Db, request: KeyedRequest): Promise<Claim | undefined> {
  const [found] = await q.requestKeyGet(db, request.caller, request.key, DAY_SECONDS);
  if (found === undefined) return undefined;
  if (found.fingerprint !== request.fingerprint) return { state: "other" };
  if (found.status === null) return { state: "busy" };
  const headers = JSON.parse(found.headers ?? "{}") as Record<string, string>;
  return { state: "answered", answer: { status: found.status, headers, body: found.body ?? "" } };
}

/** Drops what is too old to come again; resolves to true if there is more. */
export async function purgeRequestKeys(db: Db): Promise<boolean> {
  const keys = await q.requestKeyPurge(db, DAY_SECONDS, PURGE_MAX);
  const receipts = await q.receiptPurge(db, RECEIPT_SECONDS, PURGE_MAX);
  return keys.length === PURGE_MAX || receipts.length === PURGE_MAX;
}

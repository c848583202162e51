/** Answers lists: short ones at once, long ones piece by piece. */

import type { Db } from "../db/connect.ts";
import { count, find } from "../db/find.ts";
import { createGarbageLimit } from "../garbage.ts";
import type { Logger } from "../log.ts";
import { chooseEncoding, compress } from "./encoding.ts";
import { membersOf } from "./fields.ts";
import { FROM_SPEC, FROM_STATUS, type ListKind } from "./list_kinds.ts";
import { cut, type ListContent, PIECE_ROWS, writePieces } from "./list_pieces.ts";
import { type ListRequest, parseListRequest } from "./list_request.ts";
import { createPieceStream } from "./piece_stream.ts";
import { type RestContext, sendText } from "./routes.ts";
import { createSlots } from "./slots.ts";

export interface ListOptions {
  /** Long lists under way at once, and how long another waits for one to end. */
  longMax?: number;
  waitMs?: number;
  /** How long a client may take nothing of a long list, and how long all of it may take. */
  stallMs?: number;
  totalMs?: number;
}

export interface ListDoor {
  /** Answers with the part of a list that the request asks for. */
  answer(c: RestContext, kind: ListKind): Promise<Response>;
}

/** Each holds some 5 MB and a statement now and then. */
const LONG_MAX = 32;
const WAITING_MAX = 1_000;
const WAIT_MS = 10_000;
const STALL_MS = 60_000;
const TOTAL_MS = 10 * 60_000;
/** Each byte of an answer leaves some four bytes of garbage behind. */
const GARBAGE_BYTES = 16 * 1024 * 1024;

/** Makes the door to all lists of a server. */
export function createListDoor(db: Db, log: Logger, options: ListOptions = {}): ListDoor {
  const { longMax = LONG_MAX, waitMs = WAIT_MS } = options;
  const { stallMs = STALL_MS, totalMs = TOTAL_MS } = options;
  const garbage = createGarbageLimit(GARBAGE_BYTES);
  const slots = createSlots("long lists under way", {
    most: longMax,
    waitingMost: WAITING_MAX,
    waitMs,
  });

  const stream = async (c: RestContext, content: ListContent, over: () => void) => {
    const pieces = writePieces(db, content, garbage);
    const isWanted = c.req.method !== "HEAD";
    // Whatever fails until now gets an answer that says so, and no list that breaks off.
    const [first] = await Promise.all([isWanted ? pieces.next() : undefined, content.total]);
    const encoding = chooseEncoding(c.req.header("Accept-Encoding"));
    c.header("Content-Type", "application/json");
    c.header("Vary", "Authorization, Accept-Encoding");
    if (encoding !== undefined) c.header("Content-Encoding", encoding);
    if (first === undefined) {
      over();
      return c.body(null);
    }
    const plain = together(first, pieces);
    const operation_id = c.get("operationId");
    return c.body(createPieceStream(encoding ? compress(plain, encoding) : plain, {
      stallMs,
      totalMs,
      alive: () => c.env?.stillReads?.(),
      ended({ isWhole, ...end }) {
        over();
        if (isWhole) return;
        log["error" in end ? "warn" : "info"]("a list broke off", { ...end, operation_id });
      },
    }));
  };

  return {
    async answer(c, kind) {
      const request = parseListRequest(kind, new URL(c.req.url).searchParams);
      // Whoever waits holds no list meanwhile, or a short one.
      let over = request.limit > PIECE_ROWS ? await slots.take() : undefined;
      try {
        const content = await findContent(db, kind, request);
        if (cut(content.found).length > 1) {
          over ??= await slots.take();
          return await stream(c, content, over);
        }
        const [piece] = await Array.fromAsync(writePieces(db, content, garbage));
        over?.();
        return sendText(c, 200, new TextDecoder().decode(piece));
      } catch (error) {
        over?.();
        throw error;
      }
    },
  };
}

async function* together<T>(first: IteratorResult<T>, others: AsyncGenerator<T>) {
  if (!first.done) yield first.value;
  yield* others;
}

async function findContent(db: Db, kind: ListKind, request: ListRequest): Promise<ListContent> {
  const { condition, order, fields, page, limit, offset, after, goOn } = request;
  const members = fields === undefined ? undefined : membersOf(fields);
  const shows = (names: string[]) => members === undefined || names.some((one) => members.has(one));
  const documents = { spec: shows(FROM_SPEC), status: shows(FROM_STATUS) };
  const searched = { listed: kind.listed, condition, ...(kind.type && { type: kind.type }) };
  const found = await find(db, {
    ...searched,
    order,
    // One more shows whether there is more.
    limit: goOn === undefined ? limit : limit + 1,
    offset,
    ...(after && { after }),
    documents,
  });
  const isEnd = found.length > 0 && found.length < limit && after === undefined;
  const known = Number(offset) + found.length;
  const total = isEnd
    ? Promise.resolve(known)
    // Some may go before they are counted.
    : count(db, searched).then((counted) => found.length > 0 ? Math.max(counted, known) : counted);
  // Whoever waits for it is told; nobody may.
  total.catch(() => {});
  const shown = found.slice(0, limit);
  const last = found.length > limit ? shown.at(-1) : undefined;
  const next = last && goOn?.(last.place);
  return { kind, found: shown, documents, fields, page, total, next };
}

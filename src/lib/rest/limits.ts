/** What one request may cost, and all of them together: beyond it the answer says so. */

import { HTTPException } from "hono/http-exception";
import { MaestroError } from "../errors.ts";
import type { RestContext } from "./routes.ts";

/** What is limited; a server says how much. */
export interface RequestLimits {
  /** Requests under way at once. */
  requestsMax?: number | undefined;
  /** Bytes of bodies that are held for requests under way. */
  bodiesBytesMax?: number | undefined;
}

/** Takes room for what a request brings; it is given back when the request is answered. */
export type TakeBytes = (bytes: number) => void;

type Next = () => Promise<void>;

/** Address and headers together. Tokens have a few thousand, and searches may be long. */
const HEADER_BYTES_MAX = 32 * 1024;
const REQUESTS_MAX = 20_000;
const BODIES_BYTES_MAX = 256 * 1024 * 1024;

/** Creates the guard that every request passes first. */
export function createLimits(
  { requestsMax = REQUESTS_MAX, bodiesBytesMax = BODIES_BYTES_MAX }: RequestLimits,
): (c: RestContext, next: Next) => Promise<void> {
  let requests = 0;
  let heldBytes = 0;
  return async (c, next) => {
    refuseLargeHeaders(c.req.raw);
    if (requests >= requestsMax) throw overloaded(`${requestsMax} requests are under way`);
    requests++;
    let takenBytes = 0;
    c.set("takeBytes", (bytes) => {
      if (heldBytes + bytes > bodiesBytesMax) throw overloaded("too many large ones are under way");
      heldBytes += bytes;
      takenBytes += bytes;
    });
    try {
      await next();
    } finally {
      requests--;
      heldBytes -= takenBytes;
    }
  };
}

function overloaded(state: string): MaestroError {
  return new MaestroError("resource_exhausted", `Cannot take another request: ${state}`);
}

function refuseLargeHeaders(request: Request): void {
  let length = request.url.length;
  for (const [name, value] of request.headers) length += name.length + value.length + 4;
  if (length <= HEADER_BYTES_MAX) return;
  throw new HTTPException(431, {
    message:
      `Unable to read the request: address and headers are larger than ${HEADER_BYTES_MAX} bytes`,
  });
}

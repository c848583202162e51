/**
 * Reads and drops what a client still sends when its answer is known already, as that of a refused login.
 *
 * Over HTTP/2 Bun 1.4.5 resets a stream whose request was not read to its end, and the client never sees the answer.
 */

import type { RestContext } from "./routes.ts";

/** As much as is dropped of a body that is too large. */
const DROPPED_BYTES_MAX = 16 * 1024 * 1024;
/** Whoever needs longer is answered all the same, which HTTP/1.1 clients hear. */
const DROPPING_MS = 2_000;

/** Answers only when the request has come, or too much of it. */
export async function dropUnreadBody(c: RestContext, next: () => Promise<void>): Promise<void> {
  await next();
  const { body, bodyUsed } = c.req.raw;
  if (body === null || bodyUsed || body.locked) return;
  const reader = body.getReader();
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), DROPPING_MS);
  try {
    for (let bytes = 0; bytes < DROPPED_BYTES_MAX;) {
      const read = await Promise.race([reader.read(), late.promise]);
      if (read?.value === undefined) break;
      bytes += read.value.length;
    }
  } catch {
    // The client is gone, and so is the reason to wait for it.
  } finally {
    clearTimeout(timer);
  }
}

/** Answers what was thrown. */

import { explainError, presentError, presentUnauthenticated } from "./errors.ts";
import { type RestContext, sendJson, sendText } from "./routes.ts";

/** The answer for anything thrown, which says nothing of what nobody meant to throw. */
export function answerError(error: unknown, c: RestContext): Response {
  const { status, number, reason, headers } = explainError(error);
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  if (status === 401) return sendText(c, 401, JSON.stringify(presentUnauthenticated(reason)));
  return sendJson(c, status, presentError(number, reason, c.get("operationId")));
}

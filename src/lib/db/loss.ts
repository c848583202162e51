/** What the driver, the socket and PostgreSQL call an outage. */

import postgres from "postgres";

/** What says that there is no connection now. */
const LOST = new Set([
  // The driver's own.
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  // The socket's.
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
]);
/** Classes of SQLSTATE that say the same: connection, operator intervention such as a restart. */
const LOST_CLASS = /^(08|57P)[0-9A-Z]*$/;

/** Others that may pass: read-only after a failover, statement timeout. */
const PASSING = new Set(["25006", "57014"]);
/** Classes of those: insufficient resources (connections, disk, memory), system error. */
const PASSING_CLASS = /^(53|58)[0-9A-Z]*$/;

/** Somebody else was in the way: serialization failure, deadlock. The statement is undone. */
const COLLISIONS = new Set(["40001", "40P01"]);
const LOCK_TIMEOUT = "55P03";

/** The SQLSTATE of what PostgreSQL said, or the code of the driver or the socket; also below a `MaestroError`. */
function codeOf(error: unknown): { code: string; isState: boolean } | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof postgres.PostgresError) return { code: error.code, isState: true };
  if (error.cause !== undefined) return codeOf(error.cause);
  // A flow's own code is none of these.
  return "code" in error ? { code: String(error.code), isState: false } : undefined;
}

/** True if there is no connection to the database, whatever the statement. */
export function isLoss(error: unknown): boolean {
  const found = codeOf(error);
  return found !== undefined &&
    (LOST.has(found.code) || found.isState && LOST_CLASS.test(found.code));
}

/** True if the statement met another and may be sent again at once. */
export function isCollision(error: unknown): boolean {
  const found = codeOf(error);
  return found !== undefined && found.isState && COLLISIONS.has(found.code);
}

/** True if the same call may succeed later, or on another server. */
export function isPassing(error: unknown): boolean {
  const found = codeOf(error);
  if (found === undefined) return false;
  if (isLoss(error) || isCollision(error)) return true;
  return found.isState &&
    (found.code === LOCK_TIMEOUT || PASSING.has(found.code) || PASSING_CLASS.test(found.code));
}

/** True if a statement for a part of the same entries would fail as well, so that trying each is no use. */
export function meetsAll(error: unknown): boolean {
  return isPassing(error) && !isCollision(error) && codeOf(error)?.code !== LOCK_TIMEOUT;
}

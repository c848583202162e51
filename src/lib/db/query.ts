/** The one place where a query runs, and where the driver's errors get their meaning. */

import postgres from "postgres";
import { MaestroError } from "../errors.ts";
import { type Db, searchesBeside } from "./connect.ts";
import { isCollision, isPassing } from "./loss.ts";
import { encodeText, type Parameter } from "./types.ts";

/** Runs a query of one statement as a prepared statement, and returns its rows. */
export async function query<Row>(
  db: Db,
  text: string,
  parameters: readonly Parameter[],
): Promise<Row[]> {
  return await run(db, text, parameters) as unknown as Row[];
}

/**
 * Runs a query that is made for one request, and returns its rows. It is planned for these parameters, and
 * nothing of it is kept: there is no end of different ones.
 */
export async function queryOnce<Row>(
  db: Db,
  text: string,
  parameters: readonly Parameter[],
): Promise<Row[]> {
  return await run(db, text, parameters, { prepare: false }) as unknown as Row[];
}

/** Runs a statement that returns no rows, and returns how many it touched. */
export async function execute(
  db: Db,
  text: string,
  parameters: readonly Parameter[],
): Promise<number> {
  return (await run(db, text, parameters)).count;
}

/** Runs statements without parameters as one transaction: all of them, or none. */
export async function runScript(db: Db, text: string): Promise<void> {
  await attempt(db, () => db.unsafe(text).simple());
}

/** The SQLSTATE of what PostgreSQL said, also below a `MaestroError`. */
export function sqlState(error: unknown): string | undefined {
  return postgresError(error)?.code;
}

/** Whether the error is the violation of this constraint. */
export function violates(error: unknown, constraint: string): boolean {
  const found = postgresError(error);
  return found !== undefined && found.code.startsWith("23") && found.constraint_name === constraint;
}

function run(
  db: Db,
  text: string,
  parameters: readonly Parameter[],
  { prepare }: { prepare: boolean } = { prepare: true },
): Promise<postgres.RowList<postgres.Row[]>> {
  // Everything leaves as text, so that a statement is prepared once and not once for each mix of
  // JavaScript types.
  const encoded = parameters.map((value) => value === null ? null : encodeText(value));
  // Without `simple: false` a query that has no parameters is never prepared.
  const options = { prepare, simple: false };
  const pool = prepare ? db : searchesBeside(db);
  return attempt(db, () => pool.unsafe(text, encoded, options));
}

/**
 * A session that PostgreSQL ends says why with a fatal error. The driver (3.4.9) keeps it and gives it to the first
 * query of the next session as well, instead of running that one. So a query that fails with a fatal error
 * has not run, and may be sent again; when all sessions of a pool were ended, more than once.
 */
const STALE_ERRORS_MAX = 3;

/** A statement that met another is undone, and runs through sooner or later. */
const COLLISIONS_MAX = 5;

/** Under the watch, if there is one: it ends the waiting when the database is lost. */
function attempt<T>(db: Db, send: () => Promise<T>): Promise<T> {
  const run = () => sendAgain(send);
  return db.watch === undefined ? run() : db.watch.guard(run);
}

async function sendAgain<T>(send: () => Promise<T>): Promise<T> {
  let stale = 0;
  let collisions = 0;
  for (;;) {
    try {
      return await send();
    } catch (error) {
      const isFatal = error instanceof postgres.PostgresError && error.severity === "FATAL";
      if (isFatal && stale++ < STALE_ERRORS_MAX) continue;
      if (isCollision(error) && collisions++ < COLLISIONS_MAX) continue;
      throw withMeaning(error);
    }
  }
}

/**
 * Text that PostgreSQL cannot keep: U+0000, half a surrogate pair in jsonb, a key longer than an index takes.
 * Whoever sent it has to change it.
 */
const UNSTORABLE = new Set(["22021", "22P02", "22P05", "54000"]);

/** Turns what the driver throws into what a flow understands; a bug of ours stays what it is. */
function withMeaning(error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  const code = String(error.code);
  const isState = error instanceof postgres.PostgresError;
  if (isState && UNSTORABLE.has(code)) {
    return new MaestroError("invalid_argument", `Cannot store this text: ${error.message}`, {
      cause: error,
    });
  }
  if (!isPassing(error)) return error;
  return new MaestroError("unavailable", `Cannot reach the database: ${error.message}`, {
    cause: error,
  });
}

function postgresError(error: unknown): postgres.PostgresError | undefined {
  if (error instanceof postgres.PostgresError) return error;
  return error instanceof Error && error.cause !== undefined
    ? postgresError(error.cause)
    : undefined;
}

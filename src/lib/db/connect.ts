/** Opens the pool of connections to PostgreSQL. */

import postgres from "postgres";
import { type DatabaseAddress, parseDatabaseUrl } from "./address.ts";
import { wireTypes } from "./types.ts";

/** A pool of connections. Queries go through `query.ts`; `end` closes it. */
export type Db = postgres.Sql;

export interface ConnectSettings {
  maxConnections: number;
  /** Shown in PostgreSQL's list of sessions. */
  applicationName: string;
  /** The server ends a statement that takes longer; without it, none. */
  statementTimeoutMs?: number;
  /** How long a new connection may take. */
  connectTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** The driver's default grows to 20 s, which a server that is back would be kept waiting for. */
const RECONNECT_SECONDS = 0.25;

/**
 * A plan is made once and kept, often while a table is all but empty: then reading the whole table looks cheapest, and
 * goes on when it holds a hundred thousand rows. There is an index for each statement (tests/db/plans.test.ts).
 * Older PostgreSQL counts a forbidden step as so dear that it would compile the statement each time.
 */
const PLANNING = { enable_seqscan: "off", jit: "off" };

/** Prepares a pool; the first query opens the first connection. */
export function connect(address: string | DatabaseAddress, settings: ConnectSettings): Db {
  const to = typeof address === "string" ? parseDatabaseUrl(address) : address;
  const connection: Record<string, string | number> = {
    application_name: settings.applicationName,
    TimeZone: "UTC",
    DateStyle: "ISO, MDY",
    ...PLANNING,
  };
  if (settings.statementTimeoutMs !== undefined) {
    connection.statement_timeout = settings.statementTimeoutMs;
  }
  return postgres({
    host: to.host,
    port: to.port,
    ...(to.host.startsWith("/") ? { path: `${to.host}/.s.PGSQL.${to.port}` } : {}),
    user: to.user,
    password: to.password,
    database: to.database,
    ssl: ssl(to),
    max: settings.maxConnections,
    prepare: true,
    backoff: () => RECONNECT_SECONDS,
    connect_timeout: (settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS) / 1000,
    idle_timeout: undefined,
    onnotice: () => {},
    // Our table of types knows the arrays already. The driver's own query for them runs beside the first
    // one, and fails unheard when the connection is lost right then.
    fetch_types: false,
    types: wireTypes(),
    connection,
  });
}

function ssl(to: DatabaseAddress): false | "prefer" | object {
  if (to.host.startsWith("/") || to.sslMode === "disable" || to.sslMode === "allow") return false;
  if (to.sslMode === "prefer") return "prefer";
  // As in PostgreSQL's own client, `require` with a root certificate verifies its signature.
  const isVerified = to.sslMode.startsWith("verify") || to.sslRootCertificate !== undefined;
  return {
    rejectUnauthorized: isVerified,
    ca: to.sslRootCertificate,
    cert: to.sslCertificate,
    key: to.sslKey,
    ...(to.sslMode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
  };
}

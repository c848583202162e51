/** Opens the pool of connections to PostgreSQL. */

import postgres from "postgres";
import { type DatabaseAddress, parseDatabaseUrl } from "./address.ts";
import { createSockets, type Sockets } from "./sockets.ts";
import { wireTypes } from "./types.ts";
import type { DatabaseWatch } from "./watch.ts";

/** A pool of connections. Queries go through `query.ts`; `end` closes it. */
export type Db = postgres.Sql & {
  /** Who watches over the database; its word is heard before a statement is sent. */
  watch?: DatabaseWatch | undefined;
};

export interface ConnectSettings {
  maxConnections: number;
  /** Shown in PostgreSQL's list of sessions. */
  applicationName: string;
  /** The server ends a statement that takes longer; without it, none. */
  statementTimeoutMs?: number;
  /** The server ends a statement that waits longer for somebody else's lock; without it, none. */
  lockTimeoutMs?: number;
  /** A connection on which nothing comes for so long, though it should, is thrown away; without it, none. */
  silentMsMax?: number;
  /** How long a new connection may take. */
  connectTimeoutMs?: number;
  /** A statement waits for a free connection, and never behind another on the same one. No `begin` then. */
  isOneByOne?: boolean;
  /** Plans are made for the parameters of each execution, and not kept. */
  isPlannedEachTime?: boolean;
  /** Gets the notifications of the channels that a connection listens to. */
  heard?: (channel: string, text: string) => void;
  /** Called when a connection has ended. */
  closed?: () => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** The driver's default grows to 20 s, which a server that is back would be kept waiting for. */
const RECONNECT_SECONDS = 0.25;
/** By which PostgreSQL notices that we are gone, and lets go of our locks. Unix sockets need none. */
const SERVER_KEEP_ALIVE = {
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
  tcp_user_timeout: 30_000,
};
const NEVER_MS = Infinity;
/** The driver's own. */
const PIPELINE_MAX = 100;

interface Opened {
  to: DatabaseAddress;
  settings: ConnectSettings;
  sockets: Sockets;
  /** The pool for what is planned each time; most never need one. */
  searches?: Db;
}

const opened = new WeakMap<Db, Opened>();

/** Throws away the pool's connections that have owed an answer for so long; with 0 all of them. */
export function dropSilent(db: Db, silentMs: number): void {
  const pool = opened.get(db);
  pool?.sockets.drop(silentMs);
  if (pool?.searches !== undefined) dropSilent(pool.searches, silentMs);
}

/** Prepares another pool for the same database. */
export function connectBeside(db: Db, settings: ConnectSettings): Db {
  return connect(openedPool(db).to, settings);
}

/** The pool beside this one whose statements are planned each time, for their parameters. Both end together. */
export function searchesBeside(db: Db): Db {
  const pool = openedPool(db);
  const maxConnections = Math.min(pool.settings.maxConnections, SEARCHES_MAX);
  pool.searches ??= connect(pool.to, { ...pool.settings, maxConnections, isPlannedEachTime: true });
  return pool.searches;
}

function openedPool(db: Db): Opened {
  const pool = opened.get(db);
  if (pool === undefined) throw new Error("Cannot connect beside what is no pool");
  return pool;
}

/** Searches under way at once: each may keep a core busy. */
const SEARCHES_MAX = 4;

/**
 * A plan is made once and kept, often while a table is all but empty: then reading the whole table looks cheapest, and
 * goes on when it holds a hundred thousand rows. There is an index for each statement (tests/db/plans.test.ts).
 * Older PostgreSQL counts a forbidden step as so dear that it would compile the statement each time.
 */
const PLANNING = { enable_seqscan: "off", jit: "off" };
/**
 * Left to itself PostgreSQL plans again for each short list of rows, which costs more than the rows do.
 *
 * By a bitmap rows are found, and so locked, in the order of their places. By an index it is that of their ids, in which
 * all statements lock: else two of them wait for each other until one gives up (decision 0058).
 */
const KEPT_PLANS = { plan_cache_mode: "force_generic_plan", enable_bitmapscan: "off" };

/** Prepares a pool; the first query opens the first connection. */
export function connect(address: string | DatabaseAddress, settings: ConnectSettings): Db {
  const to = typeof address === "string" ? parseDatabaseUrl(address) : address;
  const connection: Record<string, string | number> = {
    application_name: settings.applicationName,
    TimeZone: "UTC",
    DateStyle: "ISO, MDY",
    ...PLANNING,
    ...(settings.isPlannedEachTime ? {} : KEPT_PLANS),
  };
  if (settings.statementTimeoutMs !== undefined) {
    connection.statement_timeout = settings.statementTimeoutMs;
  }
  if (settings.lockTimeoutMs !== undefined) connection.lock_timeout = settings.lockTimeoutMs;
  if (!to.host.startsWith("/")) Object.assign(connection, SERVER_KEEP_ALIVE);
  const connectTimeoutMs = settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const silentMsMax = settings.silentMsMax ?? NEVER_MS;
  const sockets = createSockets(to, { silentMsMax, connectTimeoutMs });
  const db: Db = postgres({
    host: to.host,
    port: to.port,
    ...(to.host.startsWith("/") ? { path: `${to.host}/.s.PGSQL.${to.port}` } : {}),
    user: to.user,
    password: to.password,
    database: to.database,
    // The driver's typings do not know it.
    ...{ socket: sockets.open, max_pipeline: settings.isOneByOne ? 0 : PIPELINE_MAX },
    ssl: false,
    // That of the sockets' opener counts.
    keep_alive: null,
    max: settings.maxConnections,
    prepare: true,
    backoff: () => RECONNECT_SECONDS,
    connect_timeout: connectTimeoutMs / 1000,
    idle_timeout: undefined,
    onnotice: () => {},
    // Our table of types knows the arrays already. The driver's own query for them runs beside the first
    // one, and fails unheard when the connection is lost right then.
    fetch_types: false,
    types: wireTypes(),
    connection,
    ...(settings.heard === undefined ? {} : { onnotify: settings.heard }),
    ...(settings.closed === undefined ? {} : { onclose: settings.closed }),
  });
  const pool: Opened = { to, settings, sockets };
  opened.set(db, pool);
  const end = db.end.bind(db);
  db.end = async (options) => {
    await Promise.all([end(options), pool.searches?.end(options)]);
  };
  return db;
}

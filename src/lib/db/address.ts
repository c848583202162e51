/** Where a database is: from a URL, or from the files that a Kubernetes secret is mounted as. */

import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { describeError, MaestroError } from "../errors.ts";

/** How far TLS is asked for, in the words of PostgreSQL's own clients. */
const SSL_MODES = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
] as const;
export type SslMode = typeof SSL_MODES[number];

export interface DatabaseAddress {
  /** A name or address, or the folder of a Unix socket. */
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  sslMode: SslMode;
  /** PEM text of the authorities that may have signed the server's certificate. */
  sslRootCertificate?: string;
  sslCertificate?: string;
  sslKey?: string;
}

/** The files of the `db-*-file` flags. */
export interface DatabaseFiles {
  host: string;
  port: string;
  user: string;
  password: string;
  name: string;
  /** May name a file that does not exist: it is read only if the mode verifies. */
  rootCertificate: string;
}

const PORT = 5432;

/** Reads `postgres://user:password@host:port/database?sslmode=…`, as psql and pgx understand it. */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const url = URL.parse(text);
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw badUrl('it must look like "postgres://user:password@host:5432/database"');
  }
  const query = url.searchParams;
  const user = decodeURIComponent(url.username) || (query.get("user") ?? userInfo().username);
  const known = ["user", "host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "password"];
  for (const name of query.keys()) {
    if (!known.includes(name)) throw badUrl(`"${name}" is not one of ${known.join(", ")}`);
  }
  const port = url.port || (query.get("port") ?? String(PORT));
  if (!/^\d+$/.test(port)) throw badUrl(`"${port}" is not a port`);
  return {
    host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, "") ||
      (query.get("host") ?? "localhost"),
    port: Number(port),
    user,
    password: decodeURIComponent(url.password) || (query.get("password") ?? ""),
    database: decodeURIComponent(url.pathname.slice(1)) || user,
    sslMode: parseSslMode(query.get("sslmode") ?? "prefer"),
    ...files({
      sslRootCertificate: query.get("sslrootcert"),
      sslCertificate: query.get("sslcert"),
      sslKey: query.get("sslkey"),
    }),
  };
}

/** Reads an address from files, each trimmed and without its quotes. */
export function addressFromFiles(paths: DatabaseFiles, sslMode: string): DatabaseAddress {
  const port = readSetting(paths.port);
  if (!/^\d+$/.test(port)) {
    throw new MaestroError("invalid_argument", `Cannot read port "${port}" from "${paths.port}"`);
  }
  const mode = parseSslMode(sslMode);
  return {
    host: readSetting(paths.host),
    port: Number(port),
    user: readSetting(paths.user),
    password: readSetting(paths.password),
    database: readSetting(paths.name),
    sslMode: mode,
    ...(mode.startsWith("verify") ? files({ sslRootCertificate: paths.rootCertificate }) : {}),
  };
}

/** The URL that leads to the same place, for people and programs; it holds the password. */
export function formatDatabaseUrl(address: DatabaseAddress): string {
  const isSocket = address.host.startsWith("/");
  const text = encodeURIComponent;
  const password = address.password ? `:${text(address.password)}` : "";
  const query = new URLSearchParams();
  if (isSocket) {
    query.set("host", address.host);
    query.set("user", address.user);
    if (address.port !== PORT) query.set("port", String(address.port));
    if (address.password) query.set("password", address.password);
    return `postgres:///${text(address.database)}?${query}`;
  }
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  query.set("sslmode", address.sslMode);
  return `postgres://${text(address.user)}${password}@${host}:${address.port}/` +
    `${text(address.database)}?${query}`;
}

function parseSslMode(given: string): SslMode {
  const mode = SSL_MODES.find((known) => known === given);
  if (mode !== undefined) return mode;
  throw badUrl(`its sslmode is "${given}", not one of ${SSL_MODES.join(", ")}`);
}

function badUrl(state: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot use the database URL: ${state}`);
}

function files<K extends string>(paths: Record<K, string | null>): Partial<Record<K, string>> {
  const texts: Partial<Record<K, string>> = {};
  for (const name in paths) {
    const path = paths[name];
    if (path !== null && path !== "") texts[name] = readText(path);
  }
  return texts;
}

function readSetting(path: string): string {
  const text = readText(path).trim();
  return /^(["'`])(.*)\1$/s.exec(text)?.[2] ?? text;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new MaestroError(
      "invalid_argument",
      `Cannot read file "${path}": ${describeError(cause)}`,
      { cause },
    );
  }
}

/** The server's settings, as flags and environment give them. */

import { CERTIFICATE_FLAGS, withPeersNames } from "./certificate_config.ts";
import { CORS_FLAGS } from "./cors_config.ts";
import { MaestroError } from "./errors.ts";
import {
  boolean,
  choice,
  duration,
  type FlagTable,
  type FlagValues,
  integer,
  optionalText,
  optionalUrl,
  parseFlags,
  port,
  positive,
  text,
} from "./flags.ts";
import { GRPC_FLAGS } from "./grpc_config.ts";
import { LOG_LEVELS } from "./log.ts";

/** Where the database is; shared by every command that needs one. */
export const DATABASE_FLAGS = {
  "database-url": optionalText("url", "PostgreSQL to use; without it an embedded one is started"),
  "db-host-file": optionalText(
    "file",
    "file with the host of PostgreSQL; used with the four below",
  ),
  "db-port-file": text("file", "secrets/db.port", "file with its port"),
  "db-user-file": text("file", "secrets/db.user", "file with the user's name"),
  "db-password-file": text("file", "secrets/db.password", "file with the password"),
  "db-name-file": text("file", "secrets/db.name", "file with the database's name"),
  "db-rootcert": text(
    "file",
    "secrets/db.rootcert",
    "CA certificate for verify-ca and verify-full",
  ),
  "db-sslmode": choice(
    ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    "disable",
    "TLS towards PostgreSQL, with --db-host-file",
  ),
  "db-max-open-connections": integer(
    "count",
    20,
    { min: 2, max: 1000 },
    "connections to PostgreSQL",
  ),
  "state-directory": optionalText(
    "folder",
    "where the embedded PostgreSQL and the admin token live (root: /var/lib/maestro, " +
      "others: ~/.local/state/maestro)",
  ),
  "postgres-directory": optionalText("folder", "programs of the embedded PostgreSQL, if not npm's"),
  "log-level": choice(LOG_LEVELS, "info", "the least important log line that is written"),
} satisfies FlagTable;

export const SERVER_FLAGS = {
  ...DATABASE_FLAGS,
  "server-hostname": text("host", "localhost", "address that every port is opened on"),
  "http-server-bindport": port(8000, "port of REST, Connect and gRPC-Web"),
  "grpc-server-bindport": port(8090, "port of gRPC for sources"),
  "grpc-broker-bindport": port(8091, "port of gRPC for agents"),
  "metrics-server-bindport": port(8080, "port of /metrics"),
  "health-check-server-bindport": port(8083, "port of /healthcheck and /livez"),
  "enable-https": boolean("off", "serve REST over TLS"),
  "https-cert-file": optionalText("file", "certificate of REST"),
  "https-key-file": optionalText("file", "key of REST"),
  "watchers-max": integer(
    "count",
    200,
    { min: 0, max: 100_000 },
    "watches and subscriptions on the port of REST at once; more are refused (429)",
  ),
  "http-requests-max": integer(
    "count",
    20_000,
    { min: 1, max: 1_000_000 },
    "REST requests under way at once; more are answered with 429",
  ),
  "http-body-timeout": positive(
    duration("20s", "how long the body of a REST request may take; then it is answered with 408"),
  ),
  "enable-jwt": boolean("on", "ask for a token on REST; false lets everybody in"),
  "jwk-cert-file": optionalText("file", "JWKS that tokens are verified against"),
  "jwk-cert-url": optionalUrl("JWKS that tokens are verified against"),
  "enable-grpc-server": boolean("on", "serve sources over gRPC"),
  "grpc-authn-type": choice(
    ["jwt", "mock"],
    "jwt",
    "how sources prove who they are on gRPC: a token as on REST, or not at all",
  ),
  "grpc-tls-cert-file": optionalText("file", "certificate of gRPC for sources"),
  "grpc-tls-key-file": optionalText("file", "key of gRPC for sources"),
  "grpc-broker-tls-cert-file": optionalText("file", "certificate of gRPC for agents"),
  "grpc-broker-tls-key-file": optionalText("file", "key of gRPC for agents"),
  "grpc-broker-client-ca-file": optionalText("file", "CA that agents' certificates must come from"),
  ...GRPC_FLAGS,
  ...CERTIFICATE_FLAGS,
  ...CORS_FLAGS,
  "message-broker-type": choice(["grpc", "mqtt"], "grpc", "how agents are reached"),
  "message-broker-config-file": text(
    "file",
    "secrets/mqtt.config",
    "where the MQTT broker is and its topics: YAML or JSON, with --message-broker-type=mqtt",
  ),
  "client-id": optionalText(
    "id",
    "the server's MQTT client id, its own for each replica (default maestro-<host name>)",
  ),
  "status-check-interval": positive(
    duration(
      "30s",
      "how often it is looked for statuses and specs that a broker or a database has lost",
    ),
  ),
  "subscription-type": choice(
    ["shared", "broadcast"],
    "shared",
    "without effect: topics.agentEvents of the broker's file says whether servers take turns",
  ),
  "ttl-after-finished": boolean(
    "on",
    "delete a resource so many seconds after it is complete as its ttlSecondsAfterFinished says",
  ),
  "source-id": text("name", "maestro", "who the server is to its agents"),
} satisfies FlagTable;

export type DatabaseConfig = FlagValues<typeof DATABASE_FLAGS>;
export type ServerConfig = FlagValues<typeof SERVER_FLAGS>;

/** Reads the settings of `maestro server`. Throws a sentence that names the flag. */
export function parseServerConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ServerConfig {
  const { values, rest } = parseFlags(SERVER_FLAGS, args, withPeersNames(env));
  refuseArguments(rest);
  together(values, "https-cert-file", "https-key-file");
  together(values, "grpc-tls-cert-file", "grpc-tls-key-file");
  together(values, "grpc-broker-tls-cert-file", "grpc-broker-tls-key-file");
  if (
    values["grpc-broker-client-ca-file"] !== undefined &&
    values["grpc-broker-tls-cert-file"] === undefined
  ) {
    throw invalid("--grpc-broker-client-ca-file needs --grpc-broker-tls-cert-file and its key");
  }
  if (values["enable-https"] && values["https-cert-file"] === undefined) {
    throw invalid("--enable-https needs --https-cert-file and --https-key-file");
  }
  const hasKeys = values["jwk-cert-file"] !== undefined || values["jwk-cert-url"] !== undefined;
  const needsKeys = values["enable-jwt"] || values["grpc-authn-type"] === "jwt";
  if (needsKeys && !hasKeys && !isEmbedded(values)) {
    throw invalid(
      "tokens are asked for, but nothing says how to verify them: give --jwk-cert-file or " +
        "--jwk-cert-url, or switch it off by --enable-jwt=false and --grpc-authn-type=mock",
    );
  }
  return values;
}

/** Reads the settings of `maestro migration`. */
export function parseMigrationConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): DatabaseConfig {
  const { values, rest } = parseFlags(DATABASE_FLAGS, args, env);
  refuseArguments(rest);
  return values;
}

/** True if no database is given, so that the embedded one is used. */
function isEmbedded(config: DatabaseConfig): boolean {
  return config["database-url"] === undefined && config["db-host-file"] === undefined;
}

function refuseArguments(rest: string[]): void {
  if (rest.length > 0) throw invalid(`"${rest[0]}" is not a flag; see --help`);
}

function together(values: ServerConfig, one: keyof ServerConfig, other: keyof ServerConfig): void {
  if ((values[one] === undefined) === (values[other] === undefined)) return;
  throw invalid(`--${one} and --${other} belong together: give both or none`);
}

function invalid(reason: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot start: ${reason}`);
}

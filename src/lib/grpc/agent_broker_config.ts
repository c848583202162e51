/** Reads the agent's file that says where its server is, with the keys of the Go agent. */

import {
  booleanAt,
  checkKeysAt,
  durationAt,
  invalidConfig,
  parseMapping,
  readConfigFile,
  readFileAt,
  textAt,
  TLS_KEYS,
  tlsOf,
  type TlsSource,
} from "../broker_config_file.ts";
import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Proxy } from "./proxy.ts";

/** Where the server is and how to talk to it. */
export interface AgentBrokerConfig {
  /** `host:port`; its hash names what the agent owns on its cluster. */
  url: string;
  /** Reads the token anew for each call, so that a renewed file is used at once. */
  readToken?: () => Promise<string>;
  /** Undefined for plain text. */
  tls?: TlsSource;
  /** The HTTP proxy on the way. */
  proxy?: Proxy;
  /** HTTP/2 pings, which find a dead connection without the server's help; undefined for none. */
  keepAlive?: { timeMs: number; timeoutMs: number; permitWithoutStream: boolean };
  /** A connection that is silent for so long is given up. */
  healthinessTimeoutMs: number;
  /** Whether the server must send heartbeats from the start, or has to only once it has sent one. */
  isHeartbeatRequired: boolean;
}

/** Two and a half heartbeats of a server with default settings. */
const HEALTHINESS_TIMEOUT_MS = 25_000;
/** Unless the file says otherwise. The Go server allows a ping in five seconds. */
const KEEP_ALIVE = { timeMs: 30_000, timeoutMs: 10_000, permitWithoutStream: false };

const KEYS = [
  "url",
  "token",
  "tokenFile",
  ...TLS_KEYS,
  "keepAliveConfig",
  "serverHealthinessTimeout",
];
const KEEP_ALIVE_KEYS = ["enable", "time", "timeout", "permitWithoutStream"];

/** The configuration of a server without a file: plain text, no token. */
export function plainBrokerConfig(url: string): AgentBrokerConfig {
  return {
    url: checkUrl("--server", url),
    keepAlive: KEEP_ALIVE,
    healthinessTimeoutMs: HEALTHINESS_TIMEOUT_MS,
    isHeartbeatRequired: false,
  };
}

/**
 * Reads a YAML or JSON file, and whatever files it names.
 *
 * They are read to see that they are good: a program that starts with a mistake retries for ever. Throws
 * `invalid_argument` that names the file and the key.
 */
export function readBrokerConfig(path: string): Promise<AgentBrokerConfig> {
  return readConfigFile(path, async (text) => {
    const config = parseBrokerConfig(text);
    await config.readToken?.();
    await config.tls?.read();
    return config;
  });
}

/** Parses the text of such a file. Throws `invalid_argument` that names the key. */
export function parseBrokerConfig(text: string): AgentBrokerConfig {
  const document = parseMapping(text, KEYS);
  const url = checkUrl("url", textAt(document, "url") ?? "");
  // Zero is off in the Go agent, as is leaving it out.
  const healthinessMs = durationAt(document, "serverHealthinessTimeout") || undefined;
  const config: AgentBrokerConfig = {
    url,
    healthinessTimeoutMs: healthinessMs ?? HEALTHINESS_TIMEOUT_MS,
    isHeartbeatRequired: healthinessMs !== undefined,
  };
  const tls = tlsOf(document);
  if (tls !== undefined) config.tls = tls;
  const readToken = tokenOf(document);
  if (readToken !== undefined) config.readToken = readToken;
  if (readToken !== undefined && tls === undefined) {
    throw invalidConfig("setting token requires authority certificates: set caFile or caData");
  }
  const keepAlive = keepAliveOf(document);
  if (keepAlive !== undefined) config.keepAlive = keepAlive;
  return config;
}

/** The two parts of a `url` that was checked. */
export function serverEnd(url: string): { host: string; port: number } {
  const colon = url.lastIndexOf(":");
  return { host: url.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(url.slice(colon + 1)) };
}

/** `setting` is what it is called where somebody wrote it. */
function checkUrl(setting: string, url: string): string {
  if (url === "") throw invalidConfig(`${setting} is required`);
  const [, digits] = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/]+):(\d{1,5})$/.exec(url) ?? [];
  const port = Number(digits ?? "0");
  if (port < 1 || port > 65_535) {
    throw invalidConfig(`${setting} must be host:port, not "${url}"`);
  }
  return url;
}

/** `token` wins over `tokenFile`. Editors end files with a line break, which no header may have. */
function tokenOf(document: JsonObject): (() => Promise<string>) | undefined {
  const [token, path] = [textAt(document, "token"), textAt(document, "tokenFile")];
  if (token !== undefined) {
    const checked = checkToken("token", token);
    return () => Promise.resolve(checked);
  }
  if (path === undefined) return undefined;
  const name = `tokenFile "${path}"`;
  return async () => {
    const content = await readFileAt(path).catch((cause) => {
      throw invalidConfig(`${name}: ${describeError(cause)}`);
    });
    return checkToken(name, content.toString("utf8"));
  };
}

function checkToken(name: string, given: string): string {
  const token = given.trim();
  if (/^[!-~]+$/.test(token)) return token;
  throw invalidConfig(`${name} must be one line of printable ASCII without spaces`);
}

function keepAliveOf(document: JsonObject): AgentBrokerConfig["keepAlive"] {
  if (document["keepAliveConfig"] === undefined) return KEEP_ALIVE;
  checkKeysAt(document, "keepAliveConfig", KEEP_ALIVE_KEYS);
  const keepAlive = {
    timeMs: durationAt(document, "keepAliveConfig.time") || KEEP_ALIVE.timeMs,
    timeoutMs: durationAt(document, "keepAliveConfig.timeout") || KEEP_ALIVE.timeoutMs,
    permitWithoutStream: booleanAt(document, "keepAliveConfig.permitWithoutStream"),
  };
  return booleanAt(document, "keepAliveConfig.enable") ? keepAlive : undefined;
}

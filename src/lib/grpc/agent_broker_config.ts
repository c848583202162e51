/** Reads the agent's file that says where its server is, with the keys of the Go agent. */

import { parse } from "yaml";
import { describeError, MaestroError } from "../errors.ts";
import { parseDurationMs } from "../flags.ts";
import { isObject, type JsonObject } from "../json.ts";

/** Where the server is and how to talk to it. */
export interface AgentBrokerConfig {
  /** `host:port`; its hash names what the agent owns on its cluster. */
  url: string;
  /** Reads the token anew for each call, so that a renewed file is used at once. */
  readToken?: () => Promise<string>;
  /** PEM texts, read anew for each connection; undefined for plain text. */
  readTls?: () => Promise<TlsFiles>;
  keepAlive?: { timeMs: number; timeoutMs: number; permitWithoutStream: boolean };
  /** A connection that is silent for so long is given up. */
  healthinessTimeoutMs: number;
}

export interface TlsFiles {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

/** Two and a half heartbeats of a server with default settings. */
const HEALTHINESS_TIMEOUT_MS = 25_000;

const KNOWN_KEYS = new Set([
  "url",
  "token",
  "tokenFile",
  "caFile",
  "caData",
  "clientCertFile",
  "clientCertData",
  "clientKeyFile",
  "clientKeyData",
  "keepAliveConfig",
  "serverHealthinessTimeout",
]);

/** The configuration of a server without a file: plain text, no token. */
export function plainBrokerConfig(url: string): AgentBrokerConfig {
  return { url: checkUrl(url), healthinessTimeoutMs: HEALTHINESS_TIMEOUT_MS };
}

/** Reads a YAML or JSON file. Throws `invalid_argument` that names the file and the key. */
export async function readBrokerConfig(path: string): Promise<AgentBrokerConfig> {
  try {
    return parseBrokerConfig(await Bun.file(path).text());
  } catch (cause) {
    throw new MaestroError(
      "invalid_argument",
      `Cannot read the workload source config "${path}": ${describeError(cause)}`,
      { cause },
    );
  }
}

/** Parses the text of such a file. Throws a text that names the key. */
export function parseBrokerConfig(text: string): AgentBrokerConfig {
  const document: unknown = parse(text);
  if (!isObject(document)) throw invalid("it must be a mapping with the key url");
  const unknown = Object.keys(document).find((key) => !KNOWN_KEYS.has(key));
  if (unknown !== undefined) throw invalid(`the key "${unknown}" is not known`);
  const config: AgentBrokerConfig = {
    url: checkUrl(textAt(document, "url") ?? ""),
    healthinessTimeoutMs: durationAt(document, "serverHealthinessTimeout") ??
      HEALTHINESS_TIMEOUT_MS,
  };
  const [token, tokenFile] = [textAt(document, "token"), textAt(document, "tokenFile")];
  const tls = tlsOf(document);
  if (token !== undefined) config.readToken = () => Promise.resolve(token.trim());
  else if (tokenFile !== undefined) {
    config.readToken = async () => (await Bun.file(tokenFile).text()).trim();
  }
  if (config.readToken !== undefined && tls === undefined) {
    throw invalid("setting token requires authority certificates: set caFile or caData");
  }
  if (tls !== undefined) config.readTls = tls;
  const keepAlive = keepAliveOf(document);
  if (keepAlive !== undefined) config.keepAlive = keepAlive;
  return config;
}

function checkUrl(url: string): string {
  if (url === "") throw invalid("url is required");
  if (!/^(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(url)) {
    throw invalid(`url must be host:port, not "${url}"`);
  }
  return url;
}

/** A CA alone means TLS too: whoever names one does not expect plain text. */
function tlsOf(document: JsonObject): (() => Promise<TlsFiles>) | undefined {
  const readers = {
    ca: pemAt(document, "ca"),
    cert: pemAt(document, "clientCert"),
    key: pemAt(document, "clientKey"),
  };
  if ((readers.cert === undefined) !== (readers.key === undefined)) {
    throw invalid("clientCert and clientKey need each other: set both, as File or as Data");
  }
  if (readers.ca === undefined && readers.cert === undefined) return undefined;
  return async () => {
    const files: TlsFiles = {};
    for (const name of ["ca", "cert", "key"] as const) {
      const pem = await readers[name]?.();
      if (pem !== undefined) files[name] = pem;
    }
    return files;
  };
}

function pemAt(document: JsonObject, name: string): (() => Promise<Buffer>) | undefined {
  const [data, file] = [textAt(document, `${name}Data`), textAt(document, `${name}File`)];
  if (data !== undefined) {
    const pem = data.includes("-----BEGIN") ? Buffer.from(data) : Buffer.from(data, "base64");
    return () => Promise.resolve(pem);
  }
  if (file === undefined) return undefined;
  return async () => Buffer.from(await Bun.file(file).arrayBuffer());
}

function keepAliveOf(document: JsonObject): AgentBrokerConfig["keepAlive"] {
  const given = document["keepAliveConfig"] ?? {};
  if (!isObject(given)) throw invalid("keepAliveConfig must be a mapping");
  if (given["enable"] !== true) return undefined;
  return {
    timeMs: durationAt(given, "time") ?? 30_000,
    timeoutMs: durationAt(given, "timeout") ?? 10_000,
    permitWithoutStream: given["permitWithoutStream"] === true,
  };
}

function textAt(document: JsonObject, key: string): string | undefined {
  const value = document[key];
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") return value;
  throw invalid(`${key} must be text`);
}

function durationAt(document: JsonObject, key: string): number | undefined {
  const value = document[key];
  if (value === undefined || value === null || value === "") return undefined;
  try {
    return parseDurationMs(String(value));
  } catch (cause) {
    throw invalid(`${key} "${value}": ${describeError(cause)}`);
  }
}

function invalid(state: string): MaestroError {
  return new MaestroError("invalid_argument", state);
}

/**
 * The files that tell an agent or a server where its broker is: YAML or JSON with known keys.
 *
 * Whatever is wrong with one is a single line that names the file and the key, since an operator reads it in the
 * last line of a pod that does not start.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { parse } from "yaml";
import { describeError, MaestroError } from "./errors.ts";
import { parseDurationMs } from "./flags.ts";
import { isObject, type JsonObject } from "./json.ts";

/** PEM texts. */
export interface TlsFiles {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

/** Certificates as a configuration names them. */
export interface TlsSource {
  /** The files among them, which others replace while we run. */
  paths: string[];
  /** The Go programs speak plain text then; we do not, since whoever names an authority does not expect that. */
  isAuthorityAlone: boolean;
  /** Reads them anew. Throws `invalid_argument` if one cannot be read, or is not what its key says. */
  read(): Promise<TlsFiles>;
}

const CERTIFICATE_KEYS = ["ca", "clientCert", "clientKey"] as const;

/** The keys that `tlsOf` reads. */
export const TLS_KEYS: readonly string[] = CERTIFICATE_KEYS.flatMap((name) => [
  `${name}File`,
  `${name}Data`,
]);

/** Reads a file and makes of it what `build` does. Throws one `invalid_argument` that names the file. */
export async function readConfigFile<T>(
  path: string,
  build: (text: string) => T | Promise<T>,
): Promise<T> {
  try {
    return await build((await readFileAt(path)).toString("utf8"));
  } catch (cause) {
    if (!(cause instanceof MaestroError)) throw cause;
    throw new MaestroError(
      "invalid_argument",
      `Cannot read the broker config "${path}": ${cause.message}`,
      { cause },
    );
  }
}

/** Parses a mapping of YAML or JSON. Throws on anything else and on keys that are not known. */
export function parseMapping(text: string, knownKeys: readonly string[]): JsonObject {
  let document: unknown;
  try {
    document = parse(text, { logLevel: "error" });
  } catch (cause) {
    // The rest of the parser's message shows the text, which may hold a token.
    const [reason = ""] = describeError(cause).split("\n");
    throw invalidConfig(`it is neither YAML nor JSON: ${reason.replace(/:$/, "")}`);
  }
  if (document === null || document === undefined) throw invalidConfig("it is empty");
  return checkMapping(document, "it", knownKeys);
}

/** Throws like `parseMapping` if what is below a key is not a mapping of known keys, or absent. */
export function checkKeysAt(document: JsonObject, key: string, knownKeys: readonly string[]): void {
  checkMapping(document[key] ?? {}, key, knownKeys);
}

function checkMapping(value: unknown, what: string, knownKeys: readonly string[]): JsonObject {
  if (!isObject(value)) throw invalidConfig(`${what} must be a mapping of keys to values`);
  const unknown = Object.keys(value).find((key) => !knownKeys.includes(key));
  if (unknown === undefined) return value;
  const path = what === "it" ? unknown : `${what}.${unknown}`;
  throw invalidConfig(`the key "${path}" is not known; known are ${knownKeys.join(", ")}`);
}

/** A text; undefined if it is absent or empty. As below, a key of a mapping in it is written `topics.agentEvents`. */
export function textAt(document: JsonObject, key: string): string | undefined {
  const value = present(document, key);
  if (value === undefined || typeof value === "string") return value;
  throw invalidConfig(`${key} must be text`);
}

/** True or false; false if it is absent. */
export function booleanAt(document: JsonObject, key: string): boolean {
  const value = present(document, key) ?? false;
  if (typeof value === "boolean") return value;
  throw invalidConfig(`${key} must be true or false`);
}

/** A whole number within limits. */
export function integerAt(
  document: JsonObject,
  key: string,
  { min, max }: { min: number; max: number },
): number | undefined {
  const value = present(document, key);
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
  throw invalidConfig(`${key} must be a whole number from ${min} to ${max}`);
}

/** A Go duration, or a number of seconds, in milliseconds. */
export function durationAt(document: JsonObject, key: string): number | undefined {
  const value = present(document, key);
  if (value === undefined) return undefined;
  try {
    return parseDurationMs(String(value));
  } catch (cause) {
    throw invalidConfig(`${key} "${value}": ${describeError(cause)}`);
  }
}

function present(document: JsonObject, path: string): unknown {
  let value: unknown = document;
  for (const key of path.split(".")) value = isObject(value) ? value[key] : undefined;
  return value === null || value === "" ? undefined : value;
}

/** The certificates of a configuration; undefined if it names none. */
export function tlsOf(document: JsonObject): TlsSource | undefined {
  const ca = pemAt(document, "ca");
  const cert = pemAt(document, "clientCert");
  const key = pemAt(document, "clientKey");
  if ((cert === undefined) !== (key === undefined)) {
    throw invalidConfig("either both or none of clientCertFile and clientKeyFile must be set");
  }
  if (ca === undefined && cert === undefined) return undefined;
  return {
    paths: [ca, cert, key].flatMap((pem) => pem?.path ?? []),
    isAuthorityAlone: cert === undefined,
    async read() {
      const files: TlsFiles = {};
      if (ca !== undefined) {
        files.ca = await ca.read();
        readCertificate(ca, files.ca);
      }
      if (cert === undefined || key === undefined) return files;
      files.cert = await cert.read();
      files.key = await key.read();
      if (!readCertificate(cert, files.cert).checkPrivateKey(readKey(key, files.key))) {
        throw invalidConfig(`${key.name} is not the key of the certificate in ${cert.name}`);
      }
      return files;
    },
  };
}

/** One PEM text and the key of the configuration that gives it. */
interface Pem {
  name: string;
  path?: string;
  read(): Promise<Buffer>;
}

/** `…Data` wins over `…File`, as in the Go programs. */
function pemAt(document: JsonObject, name: (typeof CERTIFICATE_KEYS)[number]): Pem | undefined {
  const [data, path] = [textAt(document, `${name}Data`), textAt(document, `${name}File`)];
  if (data !== undefined) {
    const pem = data.includes("-----BEGIN") ? Buffer.from(data) : Buffer.from(data, "base64");
    return { name: `${name}Data`, read: () => Promise.resolve(pem) };
  }
  if (path === undefined) return undefined;
  return {
    name: `${name}File "${path}"`,
    path,
    async read() {
      try {
        return await readFileAt(path);
      } catch (cause) {
        throw invalidConfig(`${name}File "${path}": ${describeError(cause)}`);
      }
    },
  };
}

function readCertificate({ name }: Pem, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw invalidConfig(`${name} holds no certificate in PEM`);
  }
}

function readKey({ name }: Pem, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalidConfig(`${name} holds no private key in PEM`);
  }
}

/** The content of a file. Throws `invalid_argument` with the reason alone: the caller knows the name. */
export async function readFileAt(path: string): Promise<Buffer> {
  try {
    return Buffer.from(await Bun.file(path).arrayBuffer());
  } catch (cause) {
    const { code } = cause as { code?: string };
    const reason = code === undefined ? undefined : REASONS[code];
    throw new MaestroError("invalid_argument", reason ?? describeError(cause), { cause });
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "it does not exist",
  EACCES: "reading it is not permitted",
  EISDIR: "it is a folder",
};

/** What is wrong with a configuration. */
export function invalidConfig(state: string): MaestroError {
  return new MaestroError("invalid_argument", state);
}

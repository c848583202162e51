/** The keys that tokens are verified with: a JWKS file, read again when it changes, or a URL. */

import { readFileSync, statSync } from "node:fs";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from "jose";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";

/** The keys of an issuer. */
export interface Jwks {
  find: JWTVerifyGetKey;
  /** Another text once the keys may be others, as far as can be seen without asking their issuer. */
  version: () => string;
}

export type JwksSource = { file: string } | { url: string };

const FETCH_TIMEOUT_MS = 5_000;
/** A token with an unknown key id causes at most one fetch in this time. */
const FETCH_COOLDOWN_MS = 30_000;
/** A key that its issuer has withdrawn is trusted for at most this long. */
const CACHE_MAX_AGE_MS = 10 * 60_000;

/** Opens a key set. A file must be readable and sound now; a URL is fetched when first needed. */
export function openJwks(source: JwksSource, log: Logger): Jwks {
  if ("file" in source) {
    const { file } = source;
    return { find: openJwksFile(file, log), version: () => stampIfAny(file) };
  }
  const find = createRemoteJWKSet(new URL(source.url), {
    timeoutDuration: FETCH_TIMEOUT_MS,
    cooldownDuration: FETCH_COOLDOWN_MS,
    cacheMaxAge: CACHE_MAX_AGE_MS,
  });
  return { find, version: () => "" };
}

function stampIfAny(path: string): string {
  try {
    return stampOf(path);
  } catch {
    // Between two mounts: tokens are verified one by one, with the keys known so far.
    return `none ${performance.now()}`;
  }
}

function openJwksFile(path: string, log: Logger): JWTVerifyGetKey {
  let stamp = stampOf(path);
  let keys = readJwks(path);
  return (header, token) => {
    try {
      const current = stampOf(path);
      if (current !== stamp) {
        keys = readJwks(path);
        stamp = current;
        log.info("read changed keys", { file: path });
      }
    } catch (error) {
      // Half-written, or between two mounts: the keys known so far stay good, and the next
      // token tries again.
      log.warn("cannot read changed keys, keeping the old ones", { file: path, error });
    }
    return keys(header, token);
  };
}

function readJwks(path: string): ReturnType<typeof createLocalJWKSet> {
  try {
    return createLocalJWKSet(JSON.parse(readFileSync(path, "utf8")) as JSONWebKeySet);
  } catch (cause) {
    throw new MaestroError("invalid_argument", `Cannot read JWKS file "${path}": ${cause}`, {
      cause,
    });
  }
}

// A file that is replaced within one tick of the clock has another inode or size.
function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (cause) {
    throw new MaestroError("invalid_argument", `Cannot read JWKS file "${path}": ${cause}`, {
      cause,
    });
  }
}

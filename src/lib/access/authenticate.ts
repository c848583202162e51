/** Verifies bearer tokens: JWTs by their issuer's keys, or the admin token. */

import { createHash, timingSafeEqual } from "node:crypto";
import { errors, jwtVerify, type JWTVerifyGetKey } from "jose";
import { MaestroError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { type Authenticate, type Caller, callerOf, type Credentials } from "./caller.ts";
import { type JwksSource, openJwks } from "./jwks.ts";
import { rememberVerified } from "./verified.ts";

export interface AuthenticatorOptions {
  jwks?: JwksSource | undefined;
  adminToken?: string | undefined;
  log: Logger;
  /** The time in milliseconds. */
  now?: () => number;
}

/** Signatures by a key pair only: a shared secret, or none, would let anyone make tokens. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

/** How far the clocks of an issuer and a server may differ. */
const LEEWAY_SECONDS = 60;

const ADMIN: Caller = { name: "admin", groups: [], claims: {}, isAdmin: true };

/** Creates the function that tells every door who is calling. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticate {
  const keys = options.jwks && openJwks(options.jwks, options.log);
  const isAdminToken = matcher(options.adminToken);
  const now = options.now ?? Date.now;
  const verified = rememberVerified();
  return async (credentials) => {
    const token = readToken(credentials);
    if (isAdminToken(token)) return ADMIN;
    if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) throw refuse("Bearer token is malformed");
    if (!keys) throw refuse("Bearer token can't be verified");
    const moment = { nowMs: now(), keys: keys.version() };
    const known = verified.find(token, moment);
    if (known !== undefined) return known;
    const claims = await verify(token, keys.find, moment.nowMs, options.log);
    const caller = callerOf(claims, LEEWAY_SECONDS * 1_000);
    verified.keep(token, caller, moment);
    return caller;
  };
}

function readToken({ authorization, cookie }: Credentials): string {
  if (authorization === undefined) {
    if (cookie) return cookie;
    throw refuse("Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie");
  }
  const [, scheme = "", token] = /^\s*(\S+)(?:\s+(\S+))?\s*$/.exec(authorization) ?? [];
  if (token === undefined) {
    throw refuse(`Authorization header '${showScheme(scheme)}' is malformed`);
  }
  if (scheme.toLowerCase() !== "bearer") {
    throw refuse(`Authentication type '${showScheme(scheme)}' isn't supported`);
  }
  return token;
}

// A header without a scheme may be a bare secret, which must not reach a log.
function showScheme(scheme: string): string {
  return /^(basic|bearer|digest|hoba|mutual|negotiate|ntlm|vapid|dpop|accesstoken)$/i.test(scheme)
    ? scheme
    : "…";
}

async function verify(
  token: string,
  keys: JWTVerifyGetKey,
  nowMs: number,
  log: Logger,
): Promise<JsonObject> {
  let claims: JsonObject;
  try {
    const verified = await jwtVerify(token, keys, {
      algorithms: ALGORITHMS,
      clockTolerance: LEEWAY_SECONDS,
      currentDate: new Date(nowMs),
      requiredClaims: ["exp"],
    });
    claims = verified.payload;
  } catch (cause) {
    const error = explain(cause);
    log.debug("refused a token", { reason: error.message, error: cause });
    throw error;
  }
  // Refresh and offline tokens are signed by the same keys, but are meant for the issuer alone.
  const { typ } = claims;
  if (typeof typ === "string" && typ.toLowerCase() !== "bearer") {
    throw refuse(`Bearer token of type '${typ.slice(0, 32)}' isn't allowed`);
  }
  return claims;
}

function explain(cause: unknown): MaestroError {
  if (cause instanceof errors.JWTExpired) return refuse("Bearer token is expired", cause);
  if (cause instanceof errors.JWTClaimValidationFailed) {
    if (cause.reason === "missing") {
      return refuse(`Bearer token doesn't contain required claim '${cause.claim}'`, cause);
    }
    if (cause.claim === "nbf") return refuse("Bearer token isn't valid yet", cause);
    return refuse(`Bearer token has an invalid claim '${cause.claim}'`, cause);
  }
  if (cause instanceof errors.JWSInvalid || cause instanceof errors.JWTInvalid) {
    return refuse("Bearer token is malformed", cause);
  }
  if (isAboutToken(cause)) return refuse("Bearer token can't be verified", cause);
  // The keys could not be fetched: that says nothing of the token.
  const message = "Cannot verify the bearer token: its issuer's keys are not available";
  return new MaestroError("unavailable", message, { cause });
}

function isAboutToken(cause: unknown): boolean {
  return cause instanceof errors.JWSSignatureVerificationFailed ||
    cause instanceof errors.JWKSNoMatchingKey ||
    cause instanceof errors.JWKSMultipleMatchingKeys ||
    cause instanceof errors.JOSEAlgNotAllowed ||
    cause instanceof errors.JOSENotSupported ||
    cause instanceof TypeError && /key/i.test(cause.message);
}

// Digests have one length, so the comparison takes the same time for every guess.
function matcher(secret: string | undefined): (token: string) => boolean {
  if (!secret) return () => false;
  const expected = digest(secret);
  return (token) => timingSafeEqual(digest(token), expected);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refuse(reason: string, cause?: unknown): MaestroError {
  return new MaestroError("unauthenticated", reason, { cause });
}

/** Who is calling, as every door sees it. */

import type { JsonObject } from "../json.ts";

/** An authenticated caller. What it may do follows from its name, groups and claims. */
export interface Caller {
  /** For logs and messages: a user name, else what else the token says of its subject. */
  name: string;
  groups: string[];
  /** The verified claims of its token; empty for the admin token. */
  claims: JsonObject;
  /** Until when its token is good, in milliseconds since 1970; for ever without it. */
  untilMs?: number;
  /** True for the holder of the admin token. */
  isAdmin: boolean;
}

/** What a request brings to prove who sent it. */
export interface Credentials {
  /** The value of the `Authorization` header, or of gRPC's `authorization` metadata. */
  authorization?: string | undefined;
  /** The value of the cookie `cs_jwt`; read only if there is no header. */
  cookie?: string | undefined;
}

/** Tells who is calling. Throws `unauthenticated` with the reason, which never contains the token. */
export type Authenticate = (credentials: Credentials) => Promise<Caller>;

const NAME_CLAIMS = ["username", "preferred_username", "email", "clientId", "client_id", "sub"];

/** The caller that verified claims describe; they are good for so long after their `exp`. */
export function callerOf(claims: JsonObject, leewayMs: number): Caller {
  const names = NAME_CLAIMS.map((claim) => claims[claim]);
  const name = names.find((value) => typeof value === "string" && value !== "");
  const { exp, groups } = claims;
  return {
    name: typeof name === "string" ? name : "unknown",
    groups: Array.isArray(groups) ? groups.filter((group) => typeof group === "string") : [],
    claims,
    isAdmin: false,
    ...(typeof exp === "number" && { untilMs: exp * 1_000 + leewayMs }),
  };
}

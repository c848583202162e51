/** Issues tokens for tests, and publishes the keys that verify them. */

import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

export interface Issuer {
  /** The JWKS document as text. */
  jwks: string;
  /** Signs these claims; `exp` is an hour ahead unless given, absent if null. */
  sign(claims?: Omit<JWTPayload, "exp"> & { exp?: number | null }): Promise<string>;
}

/** An issuer with one key pair. */
export async function createIssuer(alg = "ES256", kid = `key-${crypto.randomUUID()}`): Promise<
  Issuer
> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const key = { ...await exportJWK(publicKey), kid, alg, use: "sig" };
  return {
    jwks: JSON.stringify({ keys: [key] }),
    sign({ exp = Math.floor(Date.now() / 1000) + 3600, ...claims } = {}) {
      const payload: JWTPayload = exp === null ? claims : { ...claims, exp };
      return new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(privateKey);
    },
  };
}

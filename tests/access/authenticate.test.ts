/** Who may come in: bearer tokens, cookies, keys in files and behind URLs. */

import { expect, test } from "bun:test";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import type { Authenticate, Credentials } from "../../src/lib/access/caller.ts";
import { rememberVerified } from "../../src/lib/access/verified.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { testLogger } from "../harness/postgres.ts";
import { createIssuer, type Issuer } from "./tokens.ts";

const log = testLogger();

interface KeyFile extends AsyncDisposable {
  path: string;
  write(text: string): Promise<void>;
}

async function keyFile(text: string): Promise<KeyFile> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-jwks-"));
  const path = join(directory, "jwks.json");
  let tick = Date.now() / 1000 - 1000;
  const write = async (text: string) => {
    await writeFile(path, text);
    await utimes(path, tick, tick++);
  };
  await write(text);
  return { path, write, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

async function reasonOf(authenticate: Authenticate, credentials: Credentials): Promise<string> {
  const error = await authenticate(credentials).then(() => undefined, (error: unknown) => error);
  if (!(error instanceof MaestroError)) return `unexpected: ${error}`;
  return `${error.code}: ${error.message}`;
}

async function withIssuer(
  run: (authenticate: Authenticate, issuer: Issuer) => Promise<void>,
  options: { alg?: string; now?: () => number } = {},
): Promise<void> {
  const issuer = await createIssuer(options.alg);
  await using file = await keyFile(issuer.jwks);
  await run(
    createAuthenticator({ jwks: { file: file.path }, log, now: options.now ?? Date.now }),
    issuer,
  );
}

for (const alg of ["RS256", "PS256", "ES256", "EdDSA"]) {
  test(`a token signed with ${alg} names its caller`, () =>
    withIssuer(async (authenticate, issuer) => {
      const token = await issuer.sign({ username: "ada", groups: ["ops"], sub: "1" });

      const caller = await authenticate({ authorization: `Bearer ${token}` });

      expect(caller).toMatchObject({ name: "ada", groups: ["ops"], isAdmin: false });
      expect(caller.claims["sub"]).toBe("1");
    }, { alg }));
}

test("a token in the cookie is as good, and the header wins over it", () =>
  withIssuer(async (authenticate, issuer) => {
    const token = await issuer.sign({ sub: "ada" });

    expect((await authenticate({ cookie: token })).name).toBe("ada");
    expect(await reasonOf(authenticate, { authorization: "Bearer a.b.c", cookie: token }))
      .toStartWith("unauthenticated: ");
  }));

test("a caller without a token is told where it was looked for", () =>
  withIssuer(async (authenticate) => {
    expect(await reasonOf(authenticate, {})).toBe(
      "unauthenticated: Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie",
    );
  }));

test("a malformed header is refused and never echoed", () =>
  withIssuer(async (authenticate) => {
    expect(await reasonOf(authenticate, { authorization: "Bearer" }))
      .toBe("unauthenticated: Authorization header 'Bearer' is malformed");
    expect(await reasonOf(authenticate, { authorization: "topsecret" }))
      .toBe("unauthenticated: Authorization header '…' is malformed");
    expect(await reasonOf(authenticate, { authorization: "Basic YTpi" }))
      .toBe("unauthenticated: Authentication type 'Basic' isn't supported");
    expect(await reasonOf(authenticate, { authorization: "Bearer topsecret" }))
      .toBe("unauthenticated: Bearer token is malformed");
  }));

test("an expired token has a minute's grace", () =>
  withIssuer(async (authenticate, issuer) => {
    const seconds = Math.floor(Date.now() / 1000);
    const fresh = await issuer.sign({ sub: "ada", exp: seconds - 50 });
    const stale = await issuer.sign({ sub: "ada", exp: seconds - 70 });

    expect(await authenticate({ cookie: fresh }))
      .toMatchObject({ name: "ada", untilMs: (seconds + 10) * 1_000 });
    expect(await reasonOf(authenticate, { cookie: stale }))
      .toBe("unauthenticated: Bearer token is expired");
  }));

test("a token that never expires, or is no access token, is refused", () =>
  withIssuer(async (authenticate, issuer) => {
    expect(await reasonOf(authenticate, { cookie: await issuer.sign({ exp: null }) }))
      .toBe("unauthenticated: Bearer token doesn't contain required claim 'exp'");
    expect(await reasonOf(authenticate, { cookie: await issuer.sign({ typ: "Refresh" }) }))
      .toBe("unauthenticated: Bearer token of type 'Refresh' isn't allowed");
    const nbf = Math.floor(Date.now() / 1000) + 300;
    expect(await reasonOf(authenticate, { cookie: await issuer.sign({ nbf }) }))
      .toBe("unauthenticated: Bearer token isn't valid yet");
  }));

test("a token of another issuer, or changed on its way, is refused", () =>
  withIssuer(async (authenticate, issuer) => {
    const foreign = await (await createIssuer()).sign({ sub: "ada" });
    const [head, , signature] = (await issuer.sign({ sub: "ada" })).split(".");
    const claims = Buffer.from('{"sub":"root","exp":99999999999}').toString("base64url");

    expect(await reasonOf(authenticate, { cookie: foreign }))
      .toBe("unauthenticated: Bearer token can't be verified");
    expect(await reasonOf(authenticate, { cookie: `${head}.${claims}.${signature}` }))
      .toBe("unauthenticated: Bearer token can't be verified");
  }));

test("an unsigned token, and one signed with a public key as its secret, are refused", () =>
  withIssuer(async (authenticate, issuer) => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const { keys: [key] } = JSON.parse(issuer.jwks);
    const claims = { sub: "root", exp: 99999999999 };
    const none = `${part({ alg: "none" })}.${part(claims)}.`;
    const confused = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: key.kid })
      .sign(new TextEncoder().encode(JSON.stringify(key)));

    for (const cookie of [none, confused]) {
      expect(await reasonOf(authenticate, { cookie })).toStartWith("unauthenticated: Bearer token");
    }
  }));

test("a shared secret in the key set verifies nothing", async () => {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const k = Buffer.from(secret).toString("base64url");
  await using file = await keyFile(JSON.stringify({ keys: [{ kty: "oct", kid: "s", k }] }));
  const authenticate = createAuthenticator({ jwks: { file: file.path }, log });
  const cookie = await new SignJWT({ exp: 99999999999 })
    .setProtectedHeader({ alg: "HS256", kid: "s" }).sign(secret);

  expect(await reasonOf(authenticate, { cookie }))
    .toBe("unauthenticated: Bearer token can't be verified");
});

test("keys are read again when their file changes, and kept when it is broken", async () => {
  const [first, second] = [await createIssuer(), await createIssuer()];
  await using file = await keyFile(first.jwks);
  const authenticate = createAuthenticator({ jwks: { file: file.path }, log });
  const cookie = await second.sign({ sub: "ada" });

  const before = await reasonOf(authenticate, { cookie });
  await file.write(second.jwks);
  const after = await authenticate({ cookie });
  await file.write("{");
  const broken = await authenticate({ cookie });

  expect(before).toBe("unauthenticated: Bearer token can't be verified");
  expect(after.name).toBe("ada");
  expect(broken.name).toBe("ada");
});

test("a token that was good a moment ago is refused once its keys are withdrawn", async () => {
  const [first, second] = [await createIssuer(), await createIssuer()];
  await using file = await keyFile(first.jwks);
  const authenticate = createAuthenticator({ jwks: { file: file.path }, log });
  const cookie = await first.sign({ sub: "ada" });
  for (let count = 0; count < 3; count++) {
    expect((await authenticate({ cookie })).name).toBe("ada");
  }

  await file.write(second.jwks);

  expect(await reasonOf(authenticate, { cookie }))
    .toBe("unauthenticated: Bearer token can't be verified");
});

test("a token that was good a moment ago is refused once its time is over, or not yet come", () => {
  const startMs = Date.now();
  let nowMs = startMs;
  return withIssuer(async (authenticate, issuer) => {
    const seconds = Math.floor(startMs / 1000);
    const cookie = await issuer.sign({ sub: "ada", nbf: seconds, exp: seconds + 10 });
    expect((await authenticate({ cookie })).name).toBe("ada");
    nowMs = startMs + 29_000;
    expect((await authenticate({ cookie })).name).toBe("ada");
    nowMs = startMs + 65_000;
    expect((await authenticate({ cookie })).name).toBe("ada");

    nowMs = startMs + 72_000;
    expect(await reasonOf(authenticate, { cookie }))
      .toBe("unauthenticated: Bearer token is expired");
    // A clock that was set back.
    nowMs = startMs;
    expect((await authenticate({ cookie })).name).toBe("ada");
    nowMs = startMs - 120_000;
    expect(await reasonOf(authenticate, { cookie }))
      .toBe("unauthenticated: Bearer token isn't valid yet");
  }, { now: () => nowMs });
});

const ADA = { name: "ada", groups: [], claims: {}, isAdmin: false, untilMs: 3_600_000 };

test("a token is verified again after half a minute, and with other keys at once", () => {
  const verified = rememberVerified();
  verified.keep("a", ADA, { nowMs: 0, keys: "first" });

  expect(verified.find("a", { nowMs: 29_999, keys: "first" })).toBe(ADA);
  expect(verified.find("b", { nowMs: 29_999, keys: "first" })).toBeUndefined();
  expect(verified.find("a", { nowMs: 30_000, keys: "first" })).toBeUndefined();

  verified.keep("a", ADA, { nowMs: 30_000, keys: "first" });
  expect(verified.find("a", { nowMs: 30_000, keys: "second" })).toBeUndefined();
});

test("a thousand tokens are remembered, then the oldest is forgotten", () => {
  const verified = rememberVerified();
  const moment = { nowMs: 0, keys: "" };
  for (let count = 0; count < 1_001; count++) verified.keep(String(count), ADA, moment);

  expect(verified.find("0", moment)).toBeUndefined();
  expect(verified.find("1", moment)).toBe(ADA);
  expect(verified.find("1000", moment)).toBe(ADA);
});

test("a key file that cannot be read at start is an error", () => {
  expect(() => createAuthenticator({ jwks: { file: "/nowhere/jwks.json" }, log }))
    .toThrow(/^Cannot read JWKS file "\/nowhere\/jwks.json": /);
});

test("keys come from a URL, once for many tokens", async () => {
  const issuer = await createIssuer();
  let fetches = 0;
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      fetches++;
      return new Response(issuer.jwks);
    },
  });
  const authenticate = createAuthenticator({ jwks: { url: server.url.href }, log });

  const names = [];
  for (const sub of ["ada", "bob"]) {
    names.push((await authenticate({ cookie: await issuer.sign({ sub }) })).name);
  }

  expect(names).toEqual(["ada", "bob"]);
  expect(fetches).toBe(1);
});

test("keys that cannot be fetched make the server unavailable, not the token bad", async () => {
  const issuer = await createIssuer();
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("no", { status: 500 }),
  });
  const failing = createAuthenticator({ jwks: { url: server.url.href }, log });
  const absent = createAuthenticator({ jwks: { url: "http://127.0.0.1:1/" }, log });
  const cookie = await issuer.sign({ sub: "ada" });

  for (const authenticate of [failing, absent]) {
    expect(await reasonOf(authenticate, { cookie })).toBe(
      "unavailable: Cannot verify the bearer token: its issuer's keys are not available",
    );
  }
});

test("the admin token makes an admin, anything close to it does not", async () => {
  const adminToken = "A".repeat(43);
  const authenticate = createAuthenticator({ adminToken, log });

  const caller = await authenticate({ authorization: `bearer ${adminToken}` });

  expect(caller).toEqual({ name: "admin", groups: [], claims: {}, isAdmin: true });
  expect(await reasonOf(authenticate, { authorization: `Bearer ${adminToken}A` }))
    .toBe("unauthenticated: Bearer token is malformed");
  expect(await reasonOf(authenticate, { authorization: "Bearer a.b.c" }))
    .toBe("unauthenticated: Bearer token can't be verified");
});

test("without an admin token an empty one opens nothing", async () => {
  const authenticate = createAuthenticator({ adminToken: "", log });

  expect(await reasonOf(authenticate, { authorization: "Bearer ", cookie: "" }))
    .toStartWith("unauthenticated: ");
});

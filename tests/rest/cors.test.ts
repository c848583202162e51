/** Which web pages may call from their own address, and what browsers are told of it. */

import { expect, test } from "bun:test";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { parseServerConfig } from "../../src/lib/config.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor } from "../../src/lib/spec/door.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { V1 } from "./harness.ts";

const CONSOLE = "https://console.example.com";
const LIST = "/maestro.v1.ResourceBundleService/List";

async function openDoor(allowedOrigins: string[]) {
  const database = await createDatabase();
  const { db } = database;
  const log = testLogger();
  const app = createRestApp({
    ...{ db, log, allowedOrigins, metrics: createMetrics() },
    spec: createSpecDoor(db, createAcceptor(db), log),
    authenticate: createAuthenticator({ adminToken: "a".repeat(40), log }),
  });
  const ask = (method: string, path: string, headers: Record<string, string>) =>
    app.request(path, { method, headers });
  return { ask, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
}

/** What a browser looks at first. */
const allowed = (answer: Response) => answer.headers.get("Access-Control-Allow-Origin");

test("a page of a named origin may ask before it has a token, and reads what is refused", async () => {
  await using door = await openDoor([CONSOLE]);

  for (const path of [LIST, `${V1}/resource-bundles`]) {
    const asked = await door.ask("OPTIONS", path, {
      Origin: CONSOLE,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type",
    });
    const refused = await door.ask("POST", path, { Origin: CONSOLE });

    expect([asked.status, allowed(asked)]).toEqual([204, CONSOLE]);
    expect(asked.headers.get("Access-Control-Allow-Headers")).toMatch(/Authorization.*If-Match/);
    expect(asked.headers.get("Access-Control-Allow-Methods")).toContain("PATCH");
    // No cookie is for other origins.
    expect(asked.headers.get("Access-Control-Allow-Credentials")).toBeNull();
    expect([refused.status, allowed(refused)]).toEqual([path === LIST ? 415 : 401, CONSOLE]);
    expect(refused.headers.get("Access-Control-Expose-Headers")).toMatch(/Grpc-Status.*ETag/);
    expect(refused.headers.get("Vary")).toBe("Authorization, Origin");
  }
});

test("a page of another origin is told nothing, and neither is any without the flag", async () => {
  for (const origins of [[CONSOLE], []]) {
    await using door = await openDoor(origins);
    const headers = {
      Origin: "https://console.example.com.evil.example",
      "Access-Control-Request-Method": "POST",
    };

    const asked = await door.ask("OPTIONS", `${V1}/resource-bundles`, headers);
    const read = await door.ask("GET", `${V1}/resource-bundles`, headers);

    expect([asked.status, allowed(asked)]).toEqual([401, null]);
    expect(allowed(read)).toBeNull();
  }
});

test("with * every page may call", async () => {
  await using door = await openDoor(["*"]);

  const read = await door.ask("GET", `${V1}/errors`, { Origin: CONSOLE });

  expect([read.status, allowed(read)]).toEqual([200, CONSOLE]);
});

test("origins that no browser sends are refused at the start", () => {
  const parse = (origins: string) =>
    parseServerConfig([`--cors-allowed-origins=${origins}`], {})["cors-allowed-origins"];

  expect(parse(`${CONSOLE}, http://localhost:3000`)).toEqual([CONSOLE, "http://localhost:3000"]);
  for (
    const wrong of [`${CONSOLE}/`, "console.example.com", "https://A.example", "https://a:443"]
  ) {
    expect(() => parse(wrong)).toThrow("--cors-allowed-origins");
  }
});

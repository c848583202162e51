/** Calls that take too long or fail: what is answered, and what is kept to the log. */

import { expect, test } from "bun:test";
import { MaestroError } from "../../../src/lib/errors.ts";
import { createLogger } from "../../../src/lib/log.ts";
import { createMetrics } from "../../../src/lib/metrics.ts";
import { createRestApp } from "../../../src/lib/rest/app.ts";
import { createAcceptor } from "../../../src/lib/spec/accept.ts";
import { createSpecDoor } from "../../../src/lib/spec/door.ts";
import { createDatabase, type TestDatabase } from "../../harness/postgres.ts";

/** Applies through a door whose writer does this, and whose calls may take so long. */
async function apply(
  { db }: TestDatabase,
  outcome: () => Promise<never>,
  { requestTimeoutMs = 10_000, headers = {}, isSlow = false } = {},
) {
  let logged = "";
  const log = createLogger({
    level: "info",
    isTerminal: false,
    write: (line) => void (logged += line),
  });
  const spec = createSpecDoor(db, createAcceptor(db), log);
  const app = createRestApp({
    ...{
      db,
      log,
      requestTimeoutMs,
      bodyTimeoutMs: isSlow ? 100 : 10_000,
      metrics: createMetrics(),
    },
    spec: { ...spec, writer: { ...spec.writer, apply: outcome } },
  });
  const answer = await app.request("/maestro.v1.ResourceBundleService/Apply", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: isSlow ? new ReadableStream() : '{"id":"a","consumerName":"b"}',
  });
  return { status: answer.status, text: await answer.text(), logged };
}

test("a call that takes too long is answered in time: the client's, or the server's", async () => {
  await using database = await createDatabase();
  const never = () => new Promise<never>(() => {});

  const late = await apply(database, never, { headers: { "Connect-Timeout-Ms": "100" } });
  const slow = await apply(database, never, { requestTimeoutMs: 100 });
  const trickling = await apply(database, never, { isSlow: true });

  expect([late.status, late.text]).toEqual([504, expect.stringContaining("deadline_exceeded")]);
  expect(slow.status).toBe(503);
  expect([trickling.status, trickling.text]).toEqual([
    504,
    expect.stringContaining("Unable to read request body"),
  ]);
  expect(slow.text).toContain("Cannot answer within 100 ms; a change may still take effect");
});

test("what was meant to be told is told; what nobody expected is in the log only", async () => {
  await using database = await createDatabase();

  const full = await apply(
    database,
    () => Promise.reject(new MaestroError("resource_exhausted", "too many changes wait")),
  );
  const broken = await apply(database, () => Promise.reject(new Error("the password is secret")));

  expect(JSON.parse(full.text)).toEqual({
    code: "resource_exhausted",
    message: "too many changes wait",
  });
  expect(JSON.parse(broken.text)).toEqual({ code: "internal", message: "Internal error" });
  expect(broken.status).toBe(500);
  expect(broken.logged).toContain("the password is secret");
  expect(broken.logged).toContain("maestro.v1.ResourceBundleService/Apply");
});

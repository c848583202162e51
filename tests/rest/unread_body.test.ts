/** Answers that are known before the request has come, over TLS and HTTP/2 as browsers have it. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { serveRest } from "../../src/lib/rest/serve.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecDoor } from "../../src/lib/spec/door.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { V1 } from "./harness.ts";

test("a large request without a token is answered, over HTTP/2 too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "maestro-unread-"));
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  const { texts } = await makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");
  await using database = await createDatabase();
  const { db } = database;
  const log = testLogger();
  const app = createRestApp({
    ...{ db, log, metrics: createMetrics() },
    spec: createSpecDoor(db, createAcceptor(db), log),
    authenticate: createAuthenticator({ adminToken: "a".repeat(40), log }),
  });
  await using rest = serveRest(app, { hostname: "127.0.0.1", port: 0, tls: texts });
  const file = join(folder, "large");
  writeFileSync(file, "x".repeat(3_000_000));
  writeFileSync(join(folder, "ca"), texts.ca);

  // Not Node.js: it takes an answer on a stream that is reset at once.
  const ask = async (path: string) => {
    const url = `https://localhost:${rest.port}${path}`;
    const answer = ["-w", "%{http_version} %{http_code} %{errormsg}", "-o", join(folder, "answer")];
    const type = ["-H", "Content-Type: application/json"];
    const request = [
      "--http2",
      ...type,
      "--cacert",
      join(folder, "ca"),
      "--data-binary",
      `@${file}`,
    ];
    const child = Bun.spawn(["curl", "-s", "-m", "20", ...answer, ...request, url], {
      stdout: "pipe",
    });
    return await child.stdout.text();
  };
  const statuses = [
    await ask(`${V1}/resource-bundles`),
    await ask("/maestro.v1.ResourceBundleService/Apply"),
  ];

  expect(statuses).toEqual(["2 401 ", "2 401 "]);
});

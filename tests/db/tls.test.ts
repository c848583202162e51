/** How far the server's certificate is looked at, by `sslmode`. */

import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import type { DatabaseAddress, SslMode } from "../../src/lib/db/address.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { query } from "../../src/lib/db/query.ts";
import { freePort } from "../../tools/ports.ts";
import { fastestFolder, testLogger } from "../harness/postgres.ts";

function makeCertificate(folder: string, name: string): { certificate: string; key: string } {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const run = Bun.spawnSync(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" ")
      .concat(["-keyout", key, "-out", certificate, "-subj", `/CN=${name}`])
      .concat(["-addext", `subjectAltName=DNS:${name}`]),
    { stderr: "pipe" },
  );
  if (run.exitCode !== 0) throw new Error(run.stderr.toString());
  return { certificate, key };
}

test("sslmode decides how far the server's certificate is looked at", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(fastestFolder(), "maestro-tls-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const [state, port] = [join(folder, "s"), freePort()];
  const { certificate, key } = makeCertificate(folder, "localhost");
  const stranger = makeCertificate(folder, "stranger.example");
  await (await startEmbeddedPostgres({
    stateDirectory: state,
    log: testLogger(),
    searchFrom: [],
  }))[Symbol.asyncDispose]();
  const owner = statSync(join(state, "postgres"));
  for (const file of [certificate, key]) chownSync(file, owner.uid, owner.gid);
  stack.use(
    await startEmbeddedPostgres({
      stateDirectory: state,
      log: testLogger(),
      searchFrom: [],
      settings: {
        listen_addresses: "127.0.0.1",
        port: String(port),
        ssl: "on",
        ssl_cert_file: certificate,
        ssl_key_file: key,
      },
    }),
  );
  const trusted = readFileSync(certificate, "utf8");
  const other = readFileSync(stranger.certificate, "utf8");
  const attempt = async (sslMode: SslMode, host: string, sslRootCertificate?: string) => {
    const address: DatabaseAddress = {
      host,
      port,
      user: "maestro",
      password: "",
      database: "maestro",
      sslMode,
      ...(sslRootCertificate ? { sslRootCertificate } : {}),
    };
    const db = connect(address, { maxConnections: 1, applicationName: "test" });
    const text = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    const answer = await query<{ ssl: boolean }>(db, text, []).then(
      ([row]) => row?.ssl ? "encrypted" : "plain",
      () => "refused",
    );
    await db.end({ timeout: 1 });
    return answer;
  };

  expect({
    disable: await attempt("disable", "127.0.0.1"),
    prefer: await attempt("prefer", "127.0.0.1"),
    require: await attempt("require", "127.0.0.1"),
    "require, stranger": await attempt("require", "127.0.0.1", other),
    "verify-ca": await attempt("verify-ca", "127.0.0.1", trusted),
    "verify-ca, stranger": await attempt("verify-ca", "127.0.0.1", other),
    "verify-full": await attempt("verify-full", "localhost", trusted),
    "verify-full, wrong name": await attempt("verify-full", "127.0.0.1", trusted),
  }).toEqual({
    disable: "plain",
    prefer: "encrypted",
    require: "encrypted",
    "require, stranger": "refused",
    "verify-ca": "encrypted",
    "verify-ca, stranger": "refused",
    "verify-full": "encrypted",
    "verify-full, wrong name": "refused",
  });
}, 30_000);

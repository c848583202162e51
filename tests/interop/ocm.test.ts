/** Our server and the SDK under `ocm`: what the first README does with it. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIssuer } from "../access/tokens.ts";
import { createDatabase } from "../harness/postgres.ts";
import { startServer } from "../harness/programs.ts";
import { type OurSide, testPeers } from "./peer.ts";

/** A server that asks for tokens of an issuer, and a token of that issuer. */
async function serveWithTokens(): Promise<OurSide> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  const folder = mkdtempSync(join(tmpdir(), "maestro-ocm-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [keys, agents] = [join(folder, "keys.json"), join(folder, "agents.yaml")];
  const issuer = await createIssuer("RS256");
  writeFileSync(keys, issuer.jwks);
  const server = stack.use(
    await startServer({
      isFromSource: true,
      databaseUrl: database.url,
      args: ["--enable-jwt=true", "--jwk-cert-file", keys],
    }),
  );
  writeFileSync(agents, `url: 127.0.0.1:${server.agents}\n`);
  const owned = stack.move();
  return {
    settings: {
      TRANSPORT: "grpc",
      CONFIG: agents,
      REST: server.rest,
      TOKEN: await issuer.sign({ typ: "Bearer", username: "ada" }),
    },
    deeds: {},
    log: server.log,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

testPeers(serveWithTokens, {
  TestOcm: ["ocm does all that the first README does with it", "grpc"],
});

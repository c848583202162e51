/**
 * Runs schemathesis over the OpenAPI document that a server answers with: every request that the document allows, and
 * many that it does not.
 *
 * Needs schemathesis 4 (`pip install schemathesis`) on the PATH, or in `SCHEMATHESIS`. Further arguments go to it.
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "../tests/harness/programs.ts";
import { NGINX } from "./openapi/examples.ts";

const SECONDS = "300";
const V1 = "/api/maestro/v1";

const [mode = "token", ...others] = process.argv.slice(2);
if (mode !== "token" && mode !== "no-token" && mode !== "open") {
  throw new Error("Say what to run: token, no-token or open");
}
const program = process.env["SCHEMATHESIS"] ?? "schemathesis";

await using server = await startServer({
  isFromSource: true,
  args: mode === "open" ? ["--enable-jwt=false"] : [],
});
const headers = { Authorization: `Bearer ${server.adminToken}` };
await post("consumers", { name: "cluster1" });
await post("resources", { consumer_name: "cluster1", manifest: NGINX });
await post("resource-bundles", { id: "web", consumer_name: "cluster1", manifests: [NGINX] });

const run = Bun.spawn([
  program,
  ...["--config-file", join(import.meta.dir, "schemathesis.toml")],
  ...["run", `${server.rest}${V1}/openapi`, "--max-time", SECONDS],
  // The server counts as fast enough if it answers; it has its own limit of 30 s.
  ...["--continue-on-failure", "--request-timeout", "30"],
  // Without a login nothing can ignore one.
  ...(mode === "open" ? ["--exclude-checks", "ignored_auth"] : []),
  ...(mode === "token" ? ["-H", `Authorization: ${headers.Authorization}`] : []),
  ...others,
], {
  // It keeps what it has learnt where it runs.
  cwd: tmpdir(),
  stdout: "inherit",
  stderr: "inherit",
  stdin: "ignore",
});
process.exitCode = await run.exited;

async function post(collection: string, body: object): Promise<void> {
  const response = await fetch(`${server.rest}${V1}/${collection}`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return;
  throw new Error(`Cannot prepare ${collection}: ${await response.text()}`);
}

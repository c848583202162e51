/**
 * Writes everything that is generated: protobuf types, the migration list, the schema, the typed queries, the
 * OpenAPI document with its page, and the tests in the agent's checklist.
 *
 * With `--check` it writes elsewhere and fails with the list of committed files that differ.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checklist } from "./checklist.ts";
import { openapi } from "./openapi/generate.ts";
import { sqlgen } from "./sqlgen.ts";

const root = join(import.meta.dir, "..");

function buf(out: string): string[] {
  const command = ["node_modules/.bin/buf", "generate", "--template", "proto/buf.gen.yaml"];
  const run = Bun.spawnSync([...command, "--output", out, "proto"], { cwd: root });
  if (run.exitCode !== 0) throw new Error(`Cannot generate from proto/: ${run.stderr.toString()}`);
  return [...new Bun.Glob("src/gen/**/*_pb.ts").scanSync(out)];
}

async function check(): Promise<string[]> {
  const out = mkdtempSync(join(tmpdir(), "maestro-generate-"));
  try {
    const paths = [
      ...buf(out),
      ...openapi(out),
      ...await sqlgen({ root, out }),
      ...checklist(root, out),
    ];
    const gone = [...new Bun.Glob("src/gen/**/*.{ts,json,html}").scanSync(root)].filter((path) =>
      !paths.includes(path)
    );
    return [...gone, ...paths.filter((path) => read(join(root, path)) !== read(join(out, path)))];
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function read(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

try {
  if (process.argv.includes("--check")) {
    const stale = await check();
    if (stale.length > 0) {
      throw new Error(`Generated files differ, run "bun run generate":\n  ${stale.join("\n  ")}`);
    }
  } else {
    buf(root);
    openapi(root);
    await sqlgen({ root, out: root });
    checklist(root, root);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** The guide to Connect: its requests and its client do what they say. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { startServer } from "../../harness/programs.ts";

const ROOT = join(import.meta.dir, "../../..");

/** The fenced blocks of this language, in the order in which they are read. */
async function readBlocks(language: string): Promise<string[]> {
  const guide = await Bun.file(join(ROOT, "docs/connect.md")).text();
  const fences = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm");
  return [...guide.matchAll(fences)].map(([, text = ""]) => text);
}

async function say(command: string[], env: Record<string, string | undefined>): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, env, stdout: "pipe", stderr: "pipe" });
  const [said, complaints] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect({ code: await child.exited, complaints }).toEqual({ code: 0, complaints: "" });
  return said;
}

test(
  "the requests of the guide apply, list and delete a bundle, and its client lists and watches",
  async () => {
    await using server = await startServer({ isFromSource: true });
    const { rest, adminToken: token } = server;
    await fetch(`${rest}/api/maestro/v1/consumers`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
      body: '{"name":"cluster1"}',
    });
    const env = { PATH: process.env["PATH"], MAESTRO: rest, TOKEN: token };
    const shells = await readBlocks("sh");
    const run = async (text = "") =>
      JSON.parse(
        await say(["bash", "-c", `curl() { command curl -sS --fail "$@"; }\n${text}`], env),
      );
    const program = [
      ...["const server = process.env.MAESTRO!;", "const token = process.env.TOKEN!;"],
      ...(await readBlocks("ts")).map((text) => text.replace("./gen/", `${ROOT}/src/gen/`)),
      "await watch(({ type, resourceBundle, cursor }) => {",
      "  console.log(type, resourceBundle?.id);",
      "  if (cursor) process.exit(0);",
      "});",
    ].join("\n");

    const applied = await run(shells[0]);
    const listed = await run(shells[1]);
    const told = await say([process.execPath, "-e", program], env);
    const deleted = await run(shells[2]);

    expect(shells).toHaveLength(3);
    expect(applied).toMatchObject({ outcome: "OUTCOME_CREATED", resourceBundle: { id: "web" } });
    expect(listed.resourceBundles).toMatchObject([{ id: "web", consumerName: "cluster1" }]);
    expect(told).toBe(
      "web version 1 is waiting for the agent of cluster1, never seen\n1 web\n4 undefined\n",
    );
    expect(deleted.resourceBundle.delivery.state).toBe("STATE_DELETING");
  },
  60_000,
);

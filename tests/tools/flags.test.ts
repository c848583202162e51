/** Whoever mistypes a flag of a tool is told so, before anything starts. */

import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

async function run(...args: string[]) {
  const command = [process.execPath, ...args];
  const child = Bun.spawn(command, { cwd: ROOT, stdin: "ignore", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { stdout, stderr, exitCode: await child.exited };
}

test.each([
  [["tools/bench.ts", "--round", "2"], 'Unknown flag "--round": did you mean --rounds?\n'],
  [["tools/bench.ts", "accept"], 'Unknown argument "accept": see --help\n'],
  [["tools/bench.ts", "--only", "acept"], /^Cannot run --only "acept": expected some of accept, /],
  [["tools/faults.ts", "--seed", "x"], /^Cannot read --seed "x": expected a whole number from 0 /],
])("%j ends with one line", async (args, said) => {
  const { stdout, stderr, exitCode } = await run(...args);

  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toEqual(typeof said === "string" ? said : expect.stringMatching(said));
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
});

test("the help of a tool says what each flag is for", async () => {
  const { stdout, exitCode } = await run("tools/faults.ts", "--help");

  expect(exitCode).toBe(0);
  expect(stdout).toContain("--length <duration>  how long the faults of a seed go on (default 8s)");
});

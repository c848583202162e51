/** The gate must not say that all is well when it is not. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { eventually } from "../harness/eventually.ts";
import { countTests, runStep, type Step } from "../../tools/step.ts";

async function run(step: Partial<Step>): Promise<{ passed: number; failed: number; said: string }> {
  const said: string[] = [];
  const whole = { name: "step", command: ["true"], timeoutMs: 30_000, ...step };
  const count = await runStep(whole, (line) => said.push(line));
  return { passed: count.passed, failed: count.failed, said: said.join("\n") };
}

const bash = (script: string) => ["bash", "-c", script];

test("a step without totals is one check", async () => {
  expect(await run({})).toMatchObject({ passed: 1, failed: 0 });
  expect(await run({ command: ["false"] })).toMatchObject({ passed: 0, failed: 1 });
});

test("a failed step shows both of its streams in their order, a good one a line", async () => {
  const script = "echo one; echo two >&2; echo three";
  expect((await run({ command: bash(script) })).said).not.toContain("one");
  const { said } = await run({ command: bash(`${script}; exit 3`) });
  expect(said).toContain("| one\n      | two\n      | three");
  expect(said).toContain("exit code 3");
});

test("an exit code says more than totals do", async () => {
  const command = bash("echo ' 5 pass'; echo ' 0 fail'; exit 1");
  expect(await run({ command, count: countTests })).toMatchObject({ passed: 5, failed: 1 });
});

test("the totals are the last ones that are printed", () => {
  const output =
    " 99 pass\n(pass) a test that prints 3 fail\n 14 pass\n 2 skip\n 1 todo\n 1 fail\n";
  expect(countTests(output)).toEqual({ passed: 14, failed: 1, skipped: 3 });
});

test("a step that takes too long is ended and fails", async () => {
  const { failed, said } = await run({ command: bash("sleep 60"), timeoutMs: 200 });
  expect(failed).toBeGreaterThan(0);
  expect(said).toContain("stopped after 0.2 s");
});

test.if(process.platform === "linux")(
  "a step that leaves a process running fails, and the process is ended",
  async () => {
    // In a session of its own and with its streams closed, as a daemon is.
    const script = "setsid sleep 321 >/dev/null 2>&1 </dev/null & echo started as $!";
    const { failed, said } = await run({ command: bash(script) });
    expect(failed).toBe(1);
    const [, id = ""] = /left running, now ended:\s*\|? *(\d+) sleep 321/.exec(said) ?? [];
    expect(id).not.toBe("");
    // Gone, or a zombie that its parent has not yet taken note of.
    await eventually(() => readCommand(id), (command) => command === "");
  },
);

function readCommand(id: string): string {
  const path = `/proc/${id}/cmdline`;
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

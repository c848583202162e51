/** Runs one step of the gate as a child process, shows how it went, and counts it. */

import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Step {
  name: string;
  command: string[];
  /** Added to the environment of the step. */
  env?: Record<string, string>;
  timeoutMs: number;
  /** What the step's output counts; without it the step itself is one check. */
  count?: (output: string) => Count;
}

export interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

/** Whatever a step starts inherits this variable, so that what it leaves running can be found. */
const MARK = "MAESTRO_GATE_STEP";

/**
 * Runs the step to its end and prints a line; the whole output too if anything failed.
 *
 * A step that exits with an error counts at least one failure, whatever its output says; one that
 * leaves a process running fails as well, and the process is ended.
 */
export async function runStep(step: Step, print: (line: string) => void = say): Promise<Count> {
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "maestro-step-"));
  const mark = crypto.randomUUID();
  try {
    // A file, not a pipe: the two streams keep their order, and a process left behind cannot hold us.
    const path = join(folder, "output");
    const file = openSync(path, "w");
    const child = Bun.spawn(step.command, {
      stdin: "ignore",
      stdout: file,
      stderr: file,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...step.env, [MARK]: mark },
    });
    closeSync(file);
    let isOverdue = false;
    const timer = setTimeout(() => {
      isOverdue = true;
      child.kill("SIGTERM");
      setTimeout(() => child.kill("SIGKILL"), 10_000).unref();
    }, step.timeoutMs);
    const exitCode = await child.exited;
    clearTimeout(timer);

    let output = readFileSync(path, "utf8");
    if (isOverdue) output += `\nstopped after ${step.timeoutMs / 1000} s\n`;
    const left = await endLeftovers(mark);
    if (left.length > 0) output += `\nleft running, now ended:\n${left.join("\n")}\n`;
    const count = tally(step, output, exitCode);
    if (left.length > 0) count.failed++;
    const lines = report(step.name, count, performance.now() - started, output, exitCode);
    for (const line of lines) print(line);
    return count;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tally(step: Step, output: string, exitCode: number): Count {
  const count = step.count?.(output) ?? { passed: exitCode === 0 ? 1 : 0, failed: 0, skipped: 0 };
  return exitCode === 0 ? count : { ...count, failed: Math.max(count.failed, 1) };
}

function report(
  name: string,
  count: Count,
  elapsedMs: number,
  output: string,
  exitCode: number,
): string[] {
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`.padStart(8);
  if (count.failed === 0) {
    const tests = count.passed === 1 ? "" : `  ${count.passed} tests`;
    const skipped = count.skipped === 0 ? "" : `, ${count.skipped} skipped`;
    return [`  ok  ${name.padEnd(24)}${seconds}${tests}${skipped}`];
  }
  return [
    `FAIL  ${name.padEnd(24)}${seconds}  exit code ${exitCode}, ${count.failed} failed`,
    output.trimEnd().replaceAll(/^/gm, "      | "),
  ];
}

/** How long a process may outlive its step: enough to end by itself, not to do more work. */
const GRACE_MS = 2_000;

/** Ends the processes that carry the mark and says which they were. Linux only. */
async function endLeftovers(mark: string): Promise<string[]> {
  const deadline = performance.now() + GRACE_MS;
  let left = findMarked(mark);
  // Twice nothing: one look can miss a process that is just being started.
  for (let quiet = left.length === 0 ? 1 : 0; quiet < 2 && performance.now() < deadline;) {
    await Bun.sleep(20);
    left = findMarked(mark);
    quiet = left.length === 0 ? quiet + 1 : 0;
  }
  for (const { id } of left) {
    try {
      process.kill(id, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
  return left.map(({ id, command }) => `${id} ${command}`);
}

function findMarked(mark: string): { id: number; command: string }[] {
  if (process.platform !== "linux") return [];
  const found: { id: number; command: string }[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!readFileSync(`/proc/${name}/environ`, "utf8").includes(`${MARK}=${mark}`)) continue;
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      // A zombie has no command line: it has ended and waits for its parent.
      if (command !== "") found.push({ id: Number(name), command });
    } catch {
      // It ended while we looked, or belongs to somebody else.
    }
  }
  return found;
}

/** Reads the totals that `bun test` prints: ` 14 pass`, ` 1 skip`, ` 0 fail`. */
export function countTests(output: string): Count {
  const total = (word: string) => {
    const found = [...output.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1);
    return Number(found?.[1] ?? 0);
  };
  return { passed: total("pass"), failed: total("fail"), skipped: total("skip") + total("todo") };
}

/** Adds up what several steps counted. */
export function sum(counts: readonly Count[]): Count {
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  for (const count of counts) {
    total.passed += count.passed;
    total.failed += count.failed;
    total.skipped += count.skipped;
  }
  return total;
}

/** Prints a line. */
export function say(line: string): void {
  process.stdout.write(line + "\n");
}

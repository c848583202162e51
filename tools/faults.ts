/**
 * Runs seeds of faults: `bun run faults --seeds 20`, or `--seed 7 --length 2m` for one of them, longer.
 *
 * It prints a line a seed, the whole account of each that fails, and exits with 1 if one did.
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { boolean, duration, integer, positive, text } from "../src/lib/flags.ts";
import { runSeed } from "../tests/faults/run_seed.ts";
import { readFlags } from "./flags.ts";

const NUMBERS = { min: 1, max: 1_000_000_000 };
const flags = readFlags("bun run faults", {
  seed: integer(
    "number",
    0,
    { ...NUMBERS, min: 0 },
    "the only one to run; 0 for none in particular",
  ),
  seeds: integer("number", 20, NUMBERS, "how many to run"),
  first: integer("number", 1, NUMBERS, "the first of them"),
  length: positive(duration("8s", "how long the faults of a seed go on")),
  trace: boolean("off", "prints each step as it is taken"),
  parallel: integer("number", 3, { min: 1, max: 100 }, "how many run at once"),
  "from-source": boolean("off", "runs the sources in place of the executables"),
  accounts: text("folder", join(tmpdir(), "maestro-faults"), "where the accounts of the seeds go"),
});
/** Starting, waiting for quiet and stopping. */
const OVERHEAD_MS_MAX = 200_000;

const lengthMs = flags.length;
const [first, count] = flags.seed === 0 ? [flags.first, flags.seeds] : [flags.seed, 1];
const waiting = Array.from({ length: count }, (_, index) => first + index);
const failed: number[] = [];

/** A run that does not end is a failure too. */
async function within<T>(timeoutMs: number, run: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no end after ${timeoutMs} ms`)), timeoutMs);
  return await Promise.race([run, promise]).finally(() => clearTimeout(timer));
}

async function work(): Promise<void> {
  for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
    const trace = flags.trace ? (line: string) => void process.stdout.write(`${line}\n`) : () => {};
    const options = { seed, lengthMs, accounts: flags.accounts, trace };
    try {
      const verdict = await within(
        lengthMs + OVERHEAD_MS_MAX,
        runSeed({ ...options, isFromSource: flags["from-source"] }),
      );
      const isGood = verdict.violations.length === 0;
      if (!isGood) failed.push(seed);
      process.stdout.write(`${isGood ? "  ok" : "FAIL"}  ${verdict.summary}\n`);
      if (!isGood) process.stdout.write(`${verdict.account}\n`);
    } catch (error) {
      failed.push(seed);
      process.stdout.write(`FAIL  seed ${seed} could not be run: ${Bun.inspect(error)}\n`);
    }
  }
}

await Promise.all(Array.from({ length: Math.min(flags.parallel, count) }, work));
process.stdout.write(
  failed.length === 0
    ? `${count} seeds, no promise was broken\n`
    : `${failed.length} of ${count} seeds failed: bun run faults --seed ${failed.join(" or ")}\n`,
);
// Clients that were given up may hold sockets that nobody waits for.
process.exit(failed.length === 0 ? 0 : 1);

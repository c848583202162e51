/**
 * Runs seeds of faults: `bun run faults --seeds 20`, or `--seed 7 --minutes 2` for one of them, longer.
 *
 * It prints a line a seed, the whole account of each that fails, and exits with 1 if one did.
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runSeed } from "../tests/faults/run_seed.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "20" },
    first: { type: "string", default: "1" },
    minutes: { type: "string" },
    trace: { type: "boolean", default: false },
    parallel: { type: "string", default: "3" },
    "from-source": { type: "boolean", default: false },
    accounts: { type: "string", default: join(tmpdir(), "maestro-faults") },
  },
});
const LENGTH_MS = 8_000;
/** Starting, waiting for quiet and stopping. */
const OVERHEAD_MS_MAX = 200_000;

const lengthMs = values.minutes === undefined ? LENGTH_MS : Number(values.minutes) * 60_000;
const first = Number(values.seed ?? values.first);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (![lengthMs, first, count, Number(values.parallel)].every((number) => number > 0)) {
  throw new Error("--seed, --seeds, --first, --minutes and --parallel must be numbers above 0");
}
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
    const trace = values.trace
      ? (line: string) => void process.stdout.write(`${line}\n`)
      : () => {};
    const options = { seed, lengthMs, accounts: values.accounts, trace };
    try {
      const verdict = await within(
        lengthMs + OVERHEAD_MS_MAX,
        runSeed({ ...options, isFromSource: values["from-source"] }),
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

await Promise.all(Array.from({ length: Math.min(Number(values.parallel), count) }, work));
process.stdout.write(
  failed.length === 0
    ? `${count} seeds, no promise was broken\n`
    : `${failed.length} of ${count} seeds failed: bun run faults --seed ${failed.join(" or ")}\n`,
);
// Clients that were given up may hold sockets that nobody waits for.
process.exit(failed.length === 0 ? 0 : 1);

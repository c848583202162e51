/**
 * Runs seeds of faults: `bun run faults --seeds 20`, or `--seed 7 --minutes 2` for one of them, longer.
 *
 * It prints a line a seed, the whole account of each that fails, and exits with 1 if one did.
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runSeed } from "./run_seed.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "20" },
    first: { type: "string", default: "1" },
    minutes: { type: "string" },
    parallel: { type: "string", default: "3" },
    "from-source": { type: "boolean", default: false },
    accounts: { type: "string", default: join(tmpdir(), "maestro-faults") },
  },
});
const LENGTH_MS = 8_000;

const lengthMs = values.minutes === undefined ? LENGTH_MS : Number(values.minutes) * 60_000;
const first = Number(values.seed ?? values.first);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (![lengthMs, first, count, Number(values.parallel)].every((number) => number > 0)) {
  throw new Error("--seed, --seeds, --first, --minutes and --parallel must be numbers above 0");
}
const waiting = Array.from({ length: count }, (_, index) => first + index);
const failed: number[] = [];

async function work(): Promise<void> {
  for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
    const options = { seed, lengthMs, accounts: values.accounts };
    try {
      const verdict = await runSeed({ ...options, isFromSource: values["from-source"] });
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

/** A few short runs of faults, whose seeds were chosen for what they hit; `bun run faults` runs many more. */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { runSeed } from "./run_seed.ts";

/** Each with what its plan consists of, so that a change of the plans is noticed. */
const SEEDS = [
  { seed: 3, broker: "mqtt" },
  { seed: 7, broker: "grpc" },
  { seed: 10, broker: "grpc" },
] as const;
const LENGTH_MS = 4_000;
const TIMEOUT_MS = 150_000;

// At once, since they wait most of the time.
const verdicts = SEEDS.map(({ seed }) => {
  const run = runSeed({
    seed,
    lengthMs: LENGTH_MS,
    isFromSource: false,
    accounts: join(tmpdir(), "maestro-faults"),
  });
  // The test of the seed gets the failure.
  run.catch(() => {});
  return run;
});

for (const [index, { seed, broker }] of SEEDS.entries()) {
  test(`no promise is broken under the faults of seed ${seed}, over ${broker}`, async () => {
    const verdict = await verdicts[index];

    expect(verdict?.account).toBe("");
    expect(verdict?.summary).toContain(`: ${broker}`);
  }, TIMEOUT_MS);
}

/**
 * The whole gate: every check, then every test, then one line with the real counts.
 *
 * `bun run test` installs and sets up first; `bun run test tests/rest` narrows it to the tests below
 * a path. The exit code is not zero if anything failed or no test ran.
 */

import { artefactChecks, sourceChecks, testSteps } from "./checks.ts";
import { type Count, runStep, say, type Step, sum } from "./step.ts";

/** Tests wait more than they work, for what stops, starts or goes wrong: four steps share two cores. */
const LANES = 4;

async function runAll(steps: readonly Step[], lanes = 1): Promise<Count> {
  const counts: Count[] = [];
  const waiting = [...steps];
  const lane = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      counts.push(await runStep(step));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return sum(counts);
}

const paths = process.argv.slice(2).filter((arg) => arg !== "--");
const checks = paths.length === 0
  ? await runAll([...sourceChecks(), ...artefactChecks()])
  : { passed: 0, failed: 0, skipped: 0 };
const tests = await runAll(testSteps(paths), LANES);
const total = sum([checks, tests]);

if (tests.passed + tests.failed === 0) {
  total.failed++;
  say("FAIL  no test ran: is the path right?");
}
if (total.skipped > 0 && process.env.CI === "true") {
  total.failed++;
  say(
    `FAIL  ${total.skipped} tests were skipped: in CI every part must be there, see CONTRIBUTING.md`,
  );
}
say("");
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

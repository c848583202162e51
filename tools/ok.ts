/** The quick gate, for while you work: format, lint, types, floating promises and the tests. */

import { sourceChecks, testSteps } from "./checks.ts";
import { type Count, runStep, say, sum } from "./step.ts";

const counts: Count[] = [];
for (const step of [...sourceChecks(), ...testSteps([])]) counts.push(await runStep(step));
const total = sum(counts);
say("");
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

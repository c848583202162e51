/**
 * What an outage of a minute costs: `bun bench/outage.ts [--only database] [--seconds 60] [--rate 500] [--consumers 10]`.
 *
 * A server and an agent of ten made-up clusters, each a process of its own, while creates arrive at a steady rate, half
 * by REST and half by gRPC. PostgreSQL is ended, or stands still; the broker is killed; or both. A JSON line for each;
 * every number is that of the callers, or of the server's process. "delivered" means applied and reported.
 */

import { parseArgs } from "node:util";
import { type OutageOptions, runOutage } from "../tests/harness/outage.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "500" },
    consumers: { type: "string", default: "10" },
  },
});

const KINDS: OutageOptions["what"][] = ["database", "stalled database", "broker", "both"];

for (const what of KINDS.filter((kind) => values.only === undefined || kind === values.only)) {
  const result = await runOutage({
    what,
    outageMs: Number(values.seconds) * 1000,
    aroundMs: 5_000,
    writesPerSecond: Number(values.rate),
    consumers: Number(values.consumers),
  });
  process.stdout.write(`${JSON.stringify({ what, seconds: Number(values.seconds), ...result })}\n`);
}
process.exit();

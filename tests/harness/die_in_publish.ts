/**
 * A server that is killed after it has claimed and before it has sent: `bun die_in_publish.ts URL CONSUMER`.
 */

import { connect } from "../../src/lib/db/connect.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { testLogger } from "./postgres.ts";

/** Its arguments. */
export type Doom = [url: string, consumerName: string];

const [url = "", consumerName = ""] = process.argv.slice(2);
const db = connect(url, { maxConnections: 1, applicationName: "doomed" });
const ready = new Map([[consumerName, {
  name: consumerName,
  connectedAt: "2026-01-01T00:00:00Z",
}]]);
const publisher = createSpecPublisher(
  db,
  () => {
    process.kill(process.pid, "SIGKILL");
    return true;
  },
  testLogger(),
  { sourceId: "maestro", ready: () => ready, sweepMs: 1_000 },
);
await publisher.run();

/** A fleet that comes back at once. */

import { expect, test } from "bun:test";
import { createDatabase } from "../harness/postgres.ts";
import { runReturn } from "../harness/returning_fleet.ts";

const AGENTS = 300;
const RSS_MEGABYTES_MAX = 300;

test(
  "M29: agents that all return at once after a restart are all current, in bounded memory",
  async () => {
    await using database = await createDatabase({ maxConnections: 8 });

    const { rssMegabytes } = await runReturn(database, {
      agents: AGENTS,
      processes: 1,
      timeoutMs: 60_000,
    });

    expect(rssMegabytes).toBeGreaterThan(0);
    expect(rssMegabytes).toBeLessThan(RSS_MEGABYTES_MAX);
  },
  150_000,
);

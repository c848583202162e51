/** Under which account the embedded PostgreSQL runs, as it refuses to run as root, and what that account may enter. */

import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";

/** An account that a child process is given. */
export interface Account {
  uid: number;
  gid: number;
}

/** PostgreSQL's own account if the system has one, else the one that every system has. */
const ACCOUNTS = ["postgres", "nobody"];

/**
 * The account to run under; undefined means our own.
 *
 * As root it is the owner of the data that is already there, so that what an ordinary user began as
 * themselves stays theirs.
 */
export function chooseAccount(dataDirectory: string): Account | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const owner = statSync(dataDirectory, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const lines = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"));
  for (const name of ACCOUNTS) {
    const entry = lines.find((fields) => fields[0] === name);
    // macOS writes the ids of `nobody` as -2.
    if (entry) return { uid: Number(entry[2]) >>> 0, gid: Number(entry[3]) >>> 0 };
  }
  throw new Error(`this system has none of the accounts ${ACCOUNTS.join(", ")}`);
}

/** The first folder on the way to a path, or the path itself, that the account cannot enter. */
export function firstClosed(path: string, account: Account): string | undefined {
  const parent = dirname(path);
  if (parent !== path) {
    const closed = firstClosed(parent, account);
    if (closed !== undefined) return closed;
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const shift = stat.uid === account.uid ? 6 : stat.gid === account.gid ? 3 : 0;
  return (stat.mode >> shift) & 1 ? undefined : path;
}

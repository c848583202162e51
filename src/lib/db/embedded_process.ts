/** Runs a PostgreSQL program so that it ends with us, even if we are killed, and not before us. */

import type { Account } from "./embedded_account.ts";

export interface PostgresProcess {
  pid: number;
  /** The exit code, once it has ended. */
  exited: Promise<number>;
  hasExited(): boolean;
  /** INT is PostgreSQL's fast shutdown, QUIT the immediate one. */
  signal(name: "INT" | "QUIT" | "KILL"): void;
}

export interface RunOptions {
  account: Account | undefined;
  /** A file descriptor that gets what the program prints. */
  logFd: number;
}

/**
 * The shell in between reads our signals line by line from a pipe. When we end, however we end, the kernel
 * closes the pipe, and the shell stops PostgreSQL. The shell has no other task, needs no tool of one system,
 * and ends when PostgreSQL does.
 */
const KEEPER = `
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
child=$!
echo $child
exec >&-
(while read -r name <&3; do kill -$name $child; done; kill -INT $child) 2>/dev/null &
watcher=$!
exec 3<&-
wait $child
code=$?
kill $watcher 2>/dev/null
exit $code
`;

/** Starts a program of PostgreSQL, and returns when it has a process id. */
export async function startProcess(
  command: readonly string[],
  options: RunOptions,
): Promise<PostgresProcess> {
  const child = Bun.spawn(["/bin/sh", "-c", KEEPER, "sh", ...command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: options.logFd,
    // A folder that any account can be in.
    cwd: "/",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
    // Its own session: Ctrl-C in a terminal is for us, who then close in the right order.
    detached: true,
    ...options.account,
  });
  const pid = Number((await child.stdout.text()).trim());
  return {
    pid,
    exited: child.exited,
    hasExited: () => child.exitCode !== null,
    signal: (name) => {
      const write = async () => {
        await child.stdin.write(`${name}\n`);
        await child.stdin.flush();
      };
      // The pipe is gone if PostgreSQL is; `exited` tells.
      write().catch(() => {});
    },
  };
}

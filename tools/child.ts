/** Programs that a tool runs beside itself, and that end with it however it ends. */

import { readLines } from "../tests/harness/lines.ts";

export interface Child extends AsyncDisposable {
  /** Lines that it wrote to standard error, as they come. */
  lines(): AsyncIterable<string>;
  /** Resolves with the exit code. */
  exited: Promise<number>;
}

/**
 * The shell in between waits on a pipe from us. When we end, however we end, the kernel closes the pipe,
 * and the shell ends the program.
 */
const KEEPER = `
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
(read -r _ <&3; kill -TERM $child) 2>/dev/null &
watcher=$!
exec 3<&-
wait $child
code=$?
kill $watcher 2>/dev/null
exit $code
`;

const STOP_MS = 15_000;

/** Starts a program in a session of its own, so that Ctrl-C is for us, who end it in the right order. */
export function startChild(command: string[], env: Record<string, string | undefined>): Child {
  const child = Bun.spawn(["/bin/sh", "-c", KEEPER, "sh", ...command], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
    env,
    detached: true,
  });
  return {
    lines: () => readLines(child.stderr),
    exited: child.exited,
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await child.exited;
      clearTimeout(timer);
    },
  };
}

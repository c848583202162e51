/** What the programs do around their work: the log, signals, and errors that become exit codes. */

import { describeError, MaestroError } from "./lib/errors.ts";
import { createLogger, type Logger, type LogLevel } from "./lib/log.ts";

/** The log of a program: standard error, for people if a terminal is there to read it. */
export function openLog(level: LogLevel): Logger {
  return createLogger({
    level,
    isTerminal: process.stderr.isTTY,
    write: (line) => void process.stderr.write(line),
  });
}

/** Resolves with the first signal that asks the program to end. */
export function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve(signal));
  });
}

/** What an end in order may take: a pod has 30 s. */
const END_MS = 25_000;

/** Ends the program after that time, if it has not ended in order by then. Nothing is lost by it, as by a crash. */
export function endInTime(log: Logger): void {
  setTimeout(() => {
    log.error("cannot end in order within the time there is, ending");
    process.exit(1);
  }, END_MS).unref();
}

/**
 * Runs a program to its end and exits with its code.
 *
 * What was expected to go wrong is a sentence, anything else a stack. A wrong flag is the caller's to mend (2);
 * the rest is the world's (1).
 */
export async function runProgram(main: (args: string[]) => Promise<number>): Promise<void> {
  const code = await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${describeError(error)}\n`);
    const isExpected = error instanceof MaestroError;
    if (!isExpected && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return isExpected && error.code === "invalid_argument" ? 2 : 1;
  });
  process.exit(code);
}

/** A place where a program runs, dies and runs again; it keeps the logs of all its lives. */

import type { Program } from "../harness/programs.ts";

export interface Slot<P extends Program> extends AsyncDisposable {
  readonly name: string;
  /** The program that runs now; undefined while there is none. */
  program(): P | undefined;
  /** Starts it, again and again until it serves. */
  start(): Promise<void>;
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  log(): string;
  /** How often it ended without having been told to. */
  deaths(): number;
}

const PAUSE_MS = 300;
const ATTEMPTS_MAX = 40;

/** Makes an empty place; `open` starts the program, given its last life if there was one. */
export function createSlot<P extends Program>(
  name: string,
  open: (last: P | undefined) => Promise<P>,
): Slot<P> {
  let program: P | undefined;
  let last: P | undefined;
  let log = "";
  let deaths = 0;
  let isOver = false;
  // Faults overlap: one start or end after the other.
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const next = turn.then(change);
    turn = next.catch(() => {});
    return next;
  };
  const killNow = async (signal: "SIGKILL" | "SIGTERM") => {
    const ended = program;
    program = undefined;
    if (ended === undefined) return;
    await ended.kill(signal);
    log += `${ended.log()}\n--- ended by ${signal}\n`;
  };
  const startNow = async () => {
    for (let attempt = 1; program === undefined && !isOver; attempt++) {
      try {
        const started = await open(last);
        program = last = started;
        void started.exited.then((code) => {
          if (program !== started) return;
          // Nobody told it to end: that is a finding, and it is started again as an operator would.
          program = undefined;
          deaths++;
          log += `${started.log()}\n--- died with ${code}\n`;
          return inTurn(startNow);
        }).catch(() => {});
      } catch (error) {
        log += `--- did not start: ${String(error)}\n`;
        if (attempt >= ATTEMPTS_MAX) throw error;
        await Bun.sleep(PAUSE_MS);
      }
    }
  };
  return {
    name,
    program: () => program,
    start: () => inTurn(startNow),
    kill: (signal) => inTurn(() => killNow(signal)),
    log: () => log + (program?.log() ?? ""),
    deaths: () => deaths,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await inTurn(() => killNow("SIGTERM"));
    },
  };
}

/** A loop that runs at its own pace and can be woken. */

import { MaestroError } from "./errors.ts";
import type { Logger } from "./log.ts";

export interface Pump extends AsyncDisposable {
  /** Asks for a run now. Any number of wakes during a run make one more run. */
  wake(): void;
}

/** What a run says of the next one. */
export type Run = boolean | number | void;

export interface PumpOptions {
  name: string;
  /** The longest pause between two runs, in milliseconds. A lost wake costs this much. */
  intervalMs: number;
  /** The pause after a run that failed; the interval if it is not given. */
  retryMs?: number;
  log: Logger;
}

/** Long pauses of all pumps end together: an idle program wakes up twice a second, and not for each of them. */
const GRID_MS = 500;
/** A timer may be early. */
const EARLY_MS = 10;

/** A pause that is not longer and ends on the grid. */
function onGrid(ms: number): number {
  if (ms < GRID_MS) return ms;
  const now = performance.now();
  return Math.floor((now + ms + EARLY_MS) / GRID_MS) * GRID_MS - now;
}

/**
 * Runs `run` again and again: at once, when woken, and at the latest after `intervalMs`.
 *
 * A run that resolves to `true` has more to do and is followed by the next without a pause; one that resolves to a
 * number wants the next after so many milliseconds, if nothing wakes it before. A run that
 * throws is logged (an outage in one line, and only its first of the same kind) and tried again after a pause; a wake does not shorten that, so a
 * failing dependency is not hammered. Disposing waits for the run under way.
 */
export function startPump(run: () => Promise<Run>, options: PumpOptions): Pump {
  let stopped = false;
  let woken = false;
  let endPause: (() => void) | undefined;

  const { intervalMs, retryMs = intervalMs } = options;
  const pause = (kind: "wakeable" | "fixed", ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(end, ms);
      function end() {
        clearTimeout(timer);
        endPause = undefined;
        resolve();
      }
      endPause = () => {
        if (kind === "wakeable" || stopped) end();
      };
      if (stopped || (kind === "wakeable" && woken)) end();
    });

  let outage: string | undefined;
  const tell = (error: unknown) => {
    if (!(error instanceof MaestroError) || error.code !== "unavailable") {
      options.log.error("run failed, trying again", { pump: options.name, error });
    } else if (error.message !== outage) {
      outage = error.message;
      options.log.warn("run failed, trying again", { pump: options.name, reason: outage });
    }
  };

  const loop = async () => {
    while (!stopped) {
      woken = false;
      try {
        const result = await run();
        outage = undefined;
        if (result === true || woken) {
          // Timers and sockets get their turn even if there is always more to do.
          await new Promise<void>((resolve) => setImmediate(resolve));
          continue;
        }
        const longestMs = typeof result === "number" ? Math.min(result, intervalMs) : intervalMs;
        await pause("wakeable", onGrid(longestMs));
      } catch (error) {
        if (stopped) return;
        tell(error);
        await pause("fixed", retryMs);
      }
    }
  };

  const finished = loop();
  return {
    wake() {
      woken = true;
      endPause?.();
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      endPause?.();
      await finished;
    },
  };
}

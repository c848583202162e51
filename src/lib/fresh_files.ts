/** Notices when files change that others replace while we run: certificates, keys and authorities. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Logger } from "./log.ts";
import { pause } from "./pause.ts";

export interface WatchOptions {
  /** The longest time that a change stays unnoticed, in milliseconds. */
  intervalMs: number;
  log: Logger;
}

/** A certificate may come a moment before its key: what could not be used is looked at again so soon. */
const RETRY_MS = 5_000;

/**
 * Calls `onChange` after the content of any of these files has become another.
 *
 * What they hold now is what later content is compared with, so read them after this call. `onChange` reads them
 * itself; while it throws, which is logged, it is called again every few seconds. Disposing waits for it.
 */
export function watchFiles(
  paths: readonly string[],
  { intervalMs, log }: WatchOptions,
  onChange: () => Promise<void> | void,
): AsyncDisposable {
  const stop = new AbortController();
  let used = digest(paths);
  const loop = async () => {
    let waitMs = intervalMs;
    for (;;) {
      await pause(waitMs, stop.signal);
      if (stop.signal.aborted) return;
      waitMs = intervalMs;
      const found = digest(paths);
      if (found === used) continue;
      try {
        await onChange();
        used = found;
      } catch (error) {
        log.error("cannot use files that have changed", { files: paths.join(", "), error });
        waitMs = Math.min(intervalMs, RETRY_MS);
      }
    }
  };
  const finished = loop();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

/** Of the content, not of times: Kubernetes replaces mounted files by moving a link to their folder. */
function digest(paths: readonly string[]): string {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(`${path}\0`).update(contentOf(path)).update("\0");
  return hash.digest("hex");
}

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    // Whoever reads it says what is wrong with it; here it only differs from what it was.
    return Buffer.from("unreadable");
  }
}

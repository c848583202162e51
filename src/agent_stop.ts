/** How the agent ends in order: what is under way is finished and said, within limits. */

import type { Logger } from "./lib/log.ts";
import type { WorkAgent } from "./lib/work/agent.ts";
import { endInTime } from "./program.ts";

/** Of the time that the end may take: what else there is to close takes some of it. */
const FINISH_MS = 8_000;
const SHOWN_MAX = 10;
/** As the Go agent. */
const FILES_MS = 10_000;

/** Ends what is under way and sends what there is to say; says what could not be sent. */
export async function finish(agents: readonly WorkAgent[], log: Logger): Promise<void> {
  endInTime(log);
  const unsent = (await Promise.all(agents.map((agent) => agent.finish(FINISH_MS)))).flat();
  if (unsent.length === 0) return;
  log.warn("statuses were not sent, and will be after the next start", {
    works: unsent.length,
    resource_ids: unsent.slice(0, SHOWN_MAX).join(", "),
  });
}

/** Resolves when one of the files has become another. */
export async function untilChanged(
  files: readonly string[],
  log: Logger,
  stack: AsyncDisposableStack,
): Promise<string> {
  const changed = Promise.withResolvers<string>();
  if (files.length > 0) {
    const { watchFiles } = await import("./lib/fresh_files.ts");
    const options = { intervalMs: FILES_MS, log };
    stack.use(
      watchFiles(
        files,
        options,
        () => changed.resolve("a file of --terminate-on-files has changed"),
      ),
    );
  }
  return await changed.promise;
}

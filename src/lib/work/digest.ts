/**
 * Notices that the server has other statuses than were sent to it.
 *
 * A broker may drop reports that it has acknowledged, without a word to either side. So a server that is behind one says
 * now and then what it holds, as one digest. An agent that has been quiet and does not find it right asks for a resync,
 * in whose answer the server lists everything.
 */

import { EXT } from "../wire/event.ts";
import type { CloudEvent } from "../wire/event.ts";
import { statusDigest } from "../wire/status_hash.ts";
import type { Works } from "./receive.ts";

export interface DigestWatch {
  /** True if the event is such a digest: it asks for nothing else. */
  take(event: CloudEvent, dataType: string): boolean;
}

export interface DigestOptions {
  works: Works;
  /** True if all that is known has been sent, and not just now. */
  isQuiet: () => boolean;
  /** Asks the server for everything that differs. */
  resync: () => void;
  /** A clock in milliseconds that never steps back. */
  elapsedMs: () => number;
}

/** What differs after a resync will differ after the next one, as a status that is too large for the way. */
const PAUSE = { firstMs: 30_000, ceilingMs: 3_600_000 };

/** Creates a watch that has seen nothing yet. */
export function createDigestWatch(options: DigestOptions): DigestWatch {
  const { works, isQuiet, resync, elapsedMs } = options;
  let pauseMs = 0;
  let notBeforeMs = 0;
  return {
    take(event, dataType) {
      const digest = event.extensions[EXT.statusDigest];
      if (typeof digest !== "string") return false;
      if (!isQuiet() || elapsedMs() < notBeforeMs) return true;
      const held = [...works.values()]
        .filter((work) => work.dataType === dataType && work.source === event.source)
        .map(({ uid, reportedHash }) => ({ resourceId: uid, hash: reportedHash ?? "" }));
      if (statusDigest(held) === digest) {
        pauseMs = 0;
        return true;
      }
      pauseMs = Math.min(Math.max(pauseMs * 2, PAUSE.firstMs), PAUSE.ceilingMs);
      notBeforeMs = elapsedMs() + pauseMs;
      resync();
      return true;
    },
  };
}

/**
 * Notices that the server knows other statuses and versions than are held here.
 *
 * A broker may drop what it has acknowledged, and a database may fail over to one that lacks the last moments, without a
 * word to either side. So a server says now and then what it knows, as digests. An agent that has been quiet and does not
 * find them right, or still lacks a spec, asks for a resync, in whose answer the server tells what differs.
 */

import { EXT } from "../wire/event.ts";
import type { CloudEvent } from "../wire/event.ts";
import { statusDigest, versionDigest } from "../wire/status_hash.ts";
import { heldVersion, type Works } from "./receive.ts";
import type { Work } from "./work.ts";

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

/** False for a work of which only the version is known, as after a restart. */
function hasSpec(work: Work): boolean {
  return work.version === heldVersion(work);
}

function areSame(works: Work[], { extensions }: CloudEvent): boolean {
  const statuses = works.map(({ uid, reportedHash }) => ({
    resourceId: uid,
    hash: reportedHash ?? "",
  }));
  if (statusDigest(statuses) !== extensions[EXT.statusDigest]) return false;
  const versions = works.map((work) => ({ resourceId: work.uid, version: heldVersion(work) }));
  const digest = extensions[EXT.versionDigest];
  return digest === undefined || digest === versionDigest(versions);
}

/** Creates a watch that has seen nothing yet. */
export function createDigestWatch(options: DigestOptions): DigestWatch {
  const { works, isQuiet, resync, elapsedMs } = options;
  let pauseMs = 0;
  let notBeforeMs = 0;
  return {
    take(event, dataType) {
      if (typeof event.extensions[EXT.statusDigest] !== "string") return false;
      if (!isQuiet() || elapsedMs() < notBeforeMs) return true;
      const own = [...works.values()]
        .filter((work) => work.dataType === dataType && work.source === event.source);
      if (own.every(hasSpec) && areSame(own, event)) {
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

/** The agent's half of both resyncs: what it asks of the server, and what the server asks of it. */

import { type CloudEvent, EXT, MANIFESTS } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import { cutHeld, decodeStatusResync, encodeSpecResync, type HeldVersion } from "../wire/resync.ts";
import { legacyStatusHash, statusDigest, statusHash, versionDigest } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";
import { heldVersion, type Works } from "./receive.ts";
import { presentStatus, type Reporter } from "./report.ts";
import type { Work } from "./work.ts";

/**
 * The requests for all specs of one data type that this agent does not hold: one, unless its list would be longer
 * than `bytesMax`. A Go server ignores that a part is one, and sends again what the others name.
 *
 * Of `unclaimed` ids nothing is held: to a server that knows them they are like any that is not named, and one that
 * knows of their deletion says so.
 */
export function specResyncRequests(
  works: Works,
  dataType: string,
  reporter: Reporter,
  bytesMax: number,
  unclaimed: readonly string[] = [],
): CloudEvent[] {
  const own = worksOf(works, dataType);
  return cutHeld([...own.map(heldOf), ...unclaimed.map(asked)], bytesMax).map((
    { held, range },
  ) =>
    request(dataType, reporter, encodeSpecResync(held), {
      ...(range?.through === undefined ? { [EXT.statusDigest]: reportedDigest(own) } : {}),
      ...(range === undefined ? {} : { [EXT.resyncAfter]: range.after }),
      ...(range?.through === undefined ? {} : { [EXT.resyncThrough]: range.through }),
    })
  );
}

/**
 * The same in one short request, which says by a digest what is held; undefined if a list must say it.
 *
 * Only for a server that is known to be ours: to any other the list would be empty, and it would send everything.
 */
export function briefResyncRequest(
  works: Works,
  dataType: string,
  reporter: Reporter,
): CloudEvent | undefined {
  const own = worksOf(works, dataType);
  if (own.some((work) => work.version < heldVersion(work))) return undefined;
  return request(dataType, reporter, encodeSpecResync([]), {
    [EXT.statusDigest]: reportedDigest(own),
    [EXT.versionDigest]: versionDigest(own.map(heldOf)),
  });
}

function worksOf(works: Works, dataType: string): Work[] {
  return [...works.values()].filter((work) => work.dataType === dataType);
}

/** So that a server that has it all need not ask for statuses. */
function reportedDigest(own: readonly Work[]): string {
  return statusDigest(
    own.map(({ uid, reportedHash }) => ({ resourceId: uid, hash: reportedHash ?? "" })),
  );
}

function request(
  dataType: string,
  { agentId, consumerName, agentVersion }: Reporter,
  data: string,
  extensions: CloudEvent["extensions"],
): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source: agentId,
    type: formatEventType({ dataType, subresource: "spec", action: ACTION.resyncRequest }),
    time: formatTime(Date.now()),
    datacontenttype: "application/json",
    extensions: {
      [EXT.clusterName]: consumerName,
      [EXT.originalSource]: "",
      [EXT.agentVersion]: agentVersion,
      ...extensions,
    },
    data,
  };
}

function asked(resourceId: string): HeldVersion {
  return { resourceId, version: 0 };
}

function heldOf(work: Work): HeldVersion {
  const version = heldVersion(work);
  return { resourceId: work.uid, version, ...(work.version < version ? { lacksSpec: true } : {}) };
}

/**
 * The works whose status the asking source does not have.
 *
 * Only works of that source: another source would take them for its own. An empty list asks for all. The answer of a
 * work whose status is not known yet, as after a restart, waits until it is.
 */
export function answersTo(
  works: Works,
  event: CloudEvent,
  dataType: string,
  { consumerName, nowMs }: { consumerName: string; nowMs: number },
): string[] {
  const clusterName = event.extensions[EXT.clusterName];
  if (clusterName !== undefined && clusterName !== "" && clusterName !== consumerName) return [];
  const held = new Map(
    decodeStatusResync(event.data).map(({ resourceId, hash }) => [
      resourceId,
      hash,
    ]),
  );
  // A single manifest's report carries no hash, so the source has computed it as agents of that time did.
  const hashOf = dataType === MANIFESTS ? legacyStatusHash : statusHash;
  return [...works.values()]
    .filter((work) => work.dataType === dataType && work.source === event.source)
    .filter((work) => {
      if (held.size === 0) return true;
      const hash = held.get(work.uid);
      if (hash === undefined) return false;
      // Its status is not known again yet, and neither is asked for if the source has the last one.
      if (!work.isSettled && !work.isGone) return hash !== work.reportedHash;
      return hash !== hashOf(presentStatus(work, consumerName, nowMs));
    })
    .map(({ uid }) => uid);
}

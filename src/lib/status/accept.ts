/** From the agents into the database: reports on resources, and confirmations of deletions. */

import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import { joinTexts } from "../db/texts.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import {
  type CloudEvent,
  EXT,
  integerExtension,
  isWorkType,
  optionalStringExtension,
  RESOURCE_VERSION_MAX,
  stringExtension,
} from "../wire/event.ts";
import { parseEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";
import { isSequence } from "../wire/sequence.ts";
import { legacyStatusHash } from "../wire/status_hash.ts";
import {
  appliedVersion,
  type BundleStatus,
  isDeleted,
  isFinished,
  parseStatus,
} from "../wire/work_status.ts";
import { createOvertake, type Overtake } from "./overtake.ts";

/** A report, read and checked. */
export interface Report {
  resourceId: string;
  consumerName: string;
  version: number;
  /** Undefined only on a deletion. */
  sequence: string | undefined;
  appliedVersion: number;
  isDeleted: boolean;
  /** Everything is done, in this version. */
  isFinished: boolean;
  /** The event's data as it travelled. */
  status: string;
  /** The event's other attributes as JSON text. */
  event: string;
  hash: string;
}

/** Resolved means committed. `stale` is a report that something newer has overtaken. */
export type AcceptReport = (report: Report) => Promise<"stored" | "deleted" | "stale">;

/**
 * Reads a status event.
 *
 * Throws `invalid_argument` if it lacks what peers always send (wire.md §1.3), or was meant for another
 * source than `sourceId`.
 */
export function readReport(event: CloudEvent, sourceId: string): Report {
  const originalSource = stringExtension(event, EXT.originalSource);
  if (originalSource !== sourceId) {
    throw new MaestroError(
      "invalid_argument",
      `unmatched source: the event is for "${originalSource}", this server is "${sourceId}"`,
    );
  }
  const { dataType } = parseEventType(event.type);
  if (!isWorkType(dataType)) {
    throw new MaestroError("invalid_argument", `no service for the data type "${dataType}"`);
  }
  const data = event.data ?? "{}";
  const status = parseStatus(data);
  const deleted = isDeleted(status);
  const sequence = optionalStringExtension(event, EXT.sequenceId);
  if (sequence === undefined ? !deleted : !isSequence(sequence)) {
    throw new MaestroError(
      "invalid_argument",
      `failed to get sequenceid extension: ${
        sequence === undefined ? "it is missing" : "it must be a decimal snowflake id"
      }`,
    );
  }
  const { metadata: _, ...extensions } = event.extensions;
  const version = integerExtension(event, EXT.resourceVersion);
  return {
    resourceId: stringExtension(event, EXT.resourceId),
    consumerName: stringExtension(event, EXT.clusterName),
    version,
    sequence,
    appliedVersion: readAppliedVersion(status),
    isDeleted: deleted,
    isFinished: isFinished(status, version),
    status: data,
    event: encodeStructured({ ...event, extensions, data: undefined }),
    // Older agents sent none, and none is sent with a single manifest: theirs is the one of that time.
    hash: optionalStringExtension(event, EXT.statusHash) ?? legacyStatusHash(status),
  };
}

/** A generation that is none of ours is no version: nothing is known to be applied. */
function readAppliedVersion(status: BundleStatus): number {
  const version = appliedVersion(status);
  return Number.isInteger(version) && Math.abs(version ?? 0) <= RESOURCE_VERSION_MAX
    ? version ?? 0
    : 0;
}

// Agents send again what was refused, which costs a slow database more than their waiting.
const BATCH = { sizeMax: 64, concurrency: 4, waitingMax: 20_000, stallMsMax: 5_000, meetsAll };

/**
 * Starts accepting reports. Those that arrive together share a statement; one resource's keep their order. `stored` is
 * called after each commit that brings something new.
 */
export function createReportAcceptor(
  db: Db,
  log: Logger,
  stored: () => void = () => {},
): AcceptReport {
  const overtake = createOvertake(db, log);
  return createBatch((reports: Report[]) => run(db, log, { overtake, stored }, reports), {
    ...BATCH,
    name: "store a report",
    key: (report) => report.resourceId,
  });
}

async function run(
  db: Db,
  log: Logger,
  after: { overtake: Overtake; stored: () => void },
  reports: Report[],
): Promise<("stored" | "deleted" | "stale")[]> {
  // Sorted by id, so that two servers lock rows in the same order.
  const sorted = [...reports].sort((a, b) => (a.resourceId < b.resourceId ? -1 : 1));
  const stored = await store(db, sorted.filter((report) => !report.isDeleted));
  if (stored.size > 0) after.stored();
  const gone = await confirm(db, sorted.filter((report) => report.isDeleted));
  if (gone.size > 0) after.stored();
  await after.overtake(sorted.filter((report) => !stored.has(report) && !gone.has(report)));
  return reports.map((report) => {
    if (stored.has(report)) return "stored";
    if (gone.has(report)) return "deleted";
    log.debug("dropped a stale report", {
      resource: report.resourceId,
      version: report.version,
      sequence: report.sequence,
    });
    return "stale";
  });
}

async function store(db: Db, reports: Report[]): Promise<Set<Report>> {
  if (reports.length === 0) return new Set();
  const rows = await q.statusUpdate(
    db,
    reports.map(({ resourceId }) => resourceId),
    reports.map(({ consumerName }) => consumerName),
    reports.map(({ version }) => version),
    reports.map(({ sequence }) => sequence ?? null),
    reports.map(({ appliedVersion }) => appliedVersion),
    joinTexts(reports.map(({ status }) => status)),
    joinTexts(reports.map(({ event }) => event)),
    reports.map(({ hash }) => hash),
    reports.map(({ isFinished }) => isFinished),
  );
  return pick(reports, rows);
}

async function confirm(db: Db, reports: Report[]): Promise<Set<Report>> {
  if (reports.length === 0) return new Set();
  const rows = await q.statusConfirmDeletion(
    db,
    reports.map(({ resourceId }) => resourceId),
    reports.map(({ consumerName }) => consumerName),
    reports.map(({ sequence }) => sequence ?? null),
    joinTexts(reports.map(({ status }) => status)),
    joinTexts(reports.map(({ event }) => event)),
  );
  return pick(reports, rows);
}

function pick(reports: Report[], rows: { position: number }[]): Set<Report> {
  return new Set(rows.flatMap(({ position }) => reports[position - 1] ?? []));
}

/** A typed function for each file of sql/queries. */

// Written by tools/sqlgen.ts (`bun run generate`). Do not edit.

import type { Db } from "../lib/db/connect.ts";
import { execute, query } from "../lib/db/query.ts";
import changeCursorText from "../../sql/queries/change/cursor.sql" with { type: "text" };
import changeForgetAheadText from "../../sql/queries/change/forget_ahead.sql" with { type: "text" };
import changeHeldText from "../../sql/queries/change/held.sql" with { type: "text" };
import changePartitionsText from "../../sql/queries/change/partitions.sql" with { type: "text" };
import changePurgeDefaultText from "../../sql/queries/change/purge_default.sql" with { type: "text" };
import changeReadText from "../../sql/queries/change/read.sql" with { type: "text" };
import clockNowText from "../../sql/queries/clock/now.sql" with { type: "text" };
import clockProbeText from "../../sql/queries/clock/probe.sql" with { type: "text" };
import consumerCreateText from "../../sql/queries/consumer/create.sql" with { type: "text" };
import consumerDeleteText from "../../sql/queries/consumer/delete.sql" with { type: "text" };
import consumerGetText from "../../sql/queries/consumer/get.sql" with { type: "text" };
import consumerNamesAfterText from "../../sql/queries/consumer/names_after.sql" with { type: "text" };
import consumerPageText from "../../sql/queries/consumer/page.sql" with { type: "text" };
import consumerPulseText from "../../sql/queries/consumer/pulse.sql" with { type: "text" };
import consumerReadListedText from "../../sql/queries/consumer/read_listed.sql" with { type: "text" };
import consumerUpdateLabelsText from "../../sql/queries/consumer/update_labels.sql" with { type: "text" };
import receiptFindText from "../../sql/queries/receipt/find.sql" with { type: "text" };
import receiptPurgeText from "../../sql/queries/receipt/purge.sql" with { type: "text" };
import requestKeyClaimText from "../../sql/queries/request_key/claim.sql" with { type: "text" };
import requestKeyGetText from "../../sql/queries/request_key/get.sql" with { type: "text" };
import requestKeyKeepText from "../../sql/queries/request_key/keep.sql" with { type: "text" };
import requestKeyMeasureText from "../../sql/queries/request_key/measure.sql" with { type: "text" };
import requestKeyPurgeText from "../../sql/queries/request_key/purge.sql" with { type: "text" };
import requestKeyReleaseText from "../../sql/queries/request_key/release.sql" with { type: "text" };
import resourceAbandonText from "../../sql/queries/resource/abandon.sql" with { type: "text" };
import resourceClaimDueText from "../../sql/queries/resource/claim_due.sql" with { type: "text" };
import resourceClaimPendingText from "../../sql/queries/resource/claim_pending.sql" with { type: "text" };
import resourceClaimResyncText from "../../sql/queries/resource/claim_resync.sql" with { type: "text" };
import resourceCreateText from "../../sql/queries/resource/create.sql" with { type: "text" };
import resourceDeleteText from "../../sql/queries/resource/delete.sql" with { type: "text" };
import resourceExpireText from "../../sql/queries/resource/expire.sql" with { type: "text" };
import resourceFindDueText from "../../sql/queries/resource/find_due.sql" with { type: "text" };
import resourceForeseeText from "../../sql/queries/resource/foresee.sql" with { type: "text" };
import resourceGetText from "../../sql/queries/resource/get.sql" with { type: "text" };
import resourceGetManyText from "../../sql/queries/resource/get_many.sql" with { type: "text" };
import resourceLoseText from "../../sql/queries/resource/lose.sql" with { type: "text" };
import resourceObserveText from "../../sql/queries/resource/observe.sql" with { type: "text" };
import resourceOvertakeText from "../../sql/queries/resource/overtake.sql" with { type: "text" };
import resourcePageVersionsText from "../../sql/queries/resource/page_versions.sql" with { type: "text" };
import resourcePendingConsumersText from "../../sql/queries/resource/pending_consumers.sql" with { type: "text" };
import resourcePendingConsumersAfterText from "../../sql/queries/resource/pending_consumers_after.sql" with { type: "text" };
import resourceReadListedText from "../../sql/queries/resource/read_listed.sql" with { type: "text" };
import resourceUpdateText from "../../sql/queries/resource/update.sql" with { type: "text" };
import resourceWhyNotCreatedText from "../../sql/queries/resource/why_not_created.sql" with { type: "text" };
import specEventClaimText from "../../sql/queries/spec_event/claim.sql" with { type: "text" };
import specEventConsumersText from "../../sql/queries/spec_event/consumers.sql" with { type: "text" };
import specEventConsumersAfterText from "../../sql/queries/spec_event/consumers_after.sql" with { type: "text" };
import statusConfirmDeletionText from "../../sql/queries/status/confirm_deletion.sql" with { type: "text" };
import statusDigestsText from "../../sql/queries/status/digests.sql" with { type: "text" };
import statusHashesOfConsumerText from "../../sql/queries/status/hashes_of_consumer.sql" with { type: "text" };
import statusHashesOfSourceText from "../../sql/queries/status/hashes_of_source.sql" with { type: "text" };
import statusOfResourcesText from "../../sql/queries/status/of_resources.sql" with { type: "text" };
import statusRefuseText from "../../sql/queries/status/refuse.sql" with { type: "text" };
import statusUpdateText from "../../sql/queries/status/update.sql" with { type: "text" };
import tableGrownText from "../../sql/queries/table/grown.sql" with { type: "text" };
import tombstoneGetText from "../../sql/queries/tombstone/get.sql" with { type: "text" };
import tombstoneOfConsumerText from "../../sql/queries/tombstone/of_consumer.sql" with { type: "text" };
import tombstoneOfSourceText from "../../sql/queries/tombstone/of_source.sql" with { type: "text" };
import tombstonePurgeText from "../../sql/queries/tombstone/purge.sql" with { type: "text" };
import wakeTellText from "../../sql/queries/wake/tell.sql" with { type: "text" };

/** A row of `change/cursor.sql`. */
export interface ChangeCursorRow {
  xid: string;
  epoch: string;
}

/** The place in the feed from which a reader that starts now must read, and which feed it is. */
export function changeCursor(
  db: Db,
): Promise<ChangeCursorRow[]> {
  return query<ChangeCursorRow>(db, changeCursorText, []);
}

/** A row of `change/forget_ahead.sql`. */
export interface ChangeForgetAheadRow {
  id: string;
}

/** Deletes entries that no transaction of this database has written: they came with a restored copy. */
export function changeForgetAhead(
  db: Db,
  limitCount: number,
): Promise<ChangeForgetAheadRow[]> {
  return query<ChangeForgetAheadRow>(db, changeForgetAheadText, [limitCount]);
}

/** A row of `change/held.sql`. */
export interface ChangeHeldRow {
  held_seconds: number;
  xid: string;
  holder: string | null;
}

/**
 * Says what holds the feed back: the oldest entry that waits for a transaction, and whose transaction it is.
 *
 * Of sessions that belong to others PostgreSQL may not tell who they are.
 */
export function changeHeld(
  db: Db,
  ageSeconds: number,
): Promise<ChangeHeldRow[]> {
  return query<ChangeHeldRow>(db, changeHeldText, [ageSeconds]);
}

/** A row of `change/partitions.sql`. */
export interface ChangePartitionsRow {
  name: string;
  from_time: string;
  to_time: string;
  is_there: boolean;
  is_old: boolean;
}

/**
 * The hours of the feed that upkeep looks at: those that have a partition, and those to come that lack one.
 *
 * Only hours that begin a while from now get one: a statement that has found no partition for its entry fails if
 * one is attached just then. And an hour that has entries in the default partition can have none of its own.
 */
export function changePartitions(
  db: Db,
  aheadHours: number,
  ageSeconds: number,
): Promise<ChangePartitionsRow[]> {
  return query<ChangePartitionsRow>(db, changePartitionsText, [aheadHours, ageSeconds]);
}

/** A row of `change/purge_default.sql`. */
export interface ChangePurgeDefaultRow {
  id: string;
}

/** Deletes entries older than the retention from the default partition, and remembers the last of them. */
export function changePurgeDefault(
  db: Db,
  ageSeconds: number,
  limitCount: number,
): Promise<ChangePurgeDefaultRow[]> {
  return query<ChangePurgeDefaultRow>(db, changePurgeDefaultText, [ageSeconds, limitCount]);
}

/** A row of `change/read.sql`. */
export interface ChangeReadRow {
  epoch: string;
  next_xid: string;
  is_too_old: boolean;
  is_ahead: boolean;
  is_held: boolean;
  xid: string | null;
  id: string | null;
  kind: string | null;
  source: string | null;
  resource_id: string | null;
  consumer_name: string | null;
  labels_before: string | null;
  is_current: boolean;
  is_creation: boolean;
  name: string | null;
  type: string | null;
  data_type: string | null;
  version: number | null;
  spec: string | null;
  metadata: string | null;
  status: string | null;
  status_event: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string | null;
  updated_at: string | null;
  deleted_at: string | null;
  observed_version: number | null;
  applied_version: number | null;
  sent_version: number | null;
  sent_at: string | null;
  attempts: number | null;
  next_send_at: string | null;
  silent_seconds: number | null;
  page_count: number;
}

/**
 * Reads the feed after a cursor, with the states that these sources or everybody are to be told.
 *
 * Only rows of transactions older than any that still runs, in their order, so that what commits late
 * is never passed over. `next_xid` is where they end: once no row is left, all before it has been read. There is
 * always a row, and with an empty feed it has no `id`. States are those of now, of the same life as the
 * change; of many changes of a kind only the last is given its state.
 *
 * The limits are written out, since PostgreSQL plans without knowing parameters, and a page too long
 * would make it sort the whole feed. And it must not be taken for more than it costs, or each page is compiled
 * first (jit_above_cost). States are cut after 8 MB; `page_count` tells. What is not compressed tells its size, and is not
 * read for it. Nobody but watchers is told of consumers.
 *
 * `sources`: null for everybody's, and for specs as well
 */
export function changeRead(
  db: Db,
  afterXid: string,
  afterId: string | bigint,
  sources: readonly (string | null)[] | null,
): Promise<ChangeReadRow[]> {
  return query<ChangeReadRow>(db, changeReadText, [afterXid, afterId, sources]);
}

/** A row of `clock/now.sql`. */
export interface ClockNowRow {
  now: string;
}

/** The database's clock, by which sends are marked. */
export function clockNow(
  db: Db,
): Promise<ClockNowRow[]> {
  return query<ClockNowRow>(db, clockNowText, []);
}

/** A row of `clock/probe.sql`. */
export interface ClockProbeRow {
  is_read_only: boolean;
}

/** Whether statements are answered, and whether this is a standby or read-only otherwise. */
export function clockProbe(
  db: Db,
): Promise<ClockProbeRow[]> {
  return query<ClockProbeRow>(db, clockProbeText, []);
}

/** A row of `consumer/create.sql`. */
export interface ConsumerCreateRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
  last_seen_at: string | null;
  agent_version: string | null;
  silent_seconds: number | null;
}

/** Stores a new consumer. A name that is taken violates `consumers_name_key`. */
export function consumerCreate(
  db: Db,
  id: string,
  name: string,
  labels: string | null,
): Promise<ConsumerCreateRow[]> {
  return query<ConsumerCreateRow>(db, consumerCreateText, [id, name, labels]);
}

/**
 * Removes a consumer, and what waited to be sent to it: of resources that were abandoned. One that has resources, even
 * while they are being deleted, violates `fk_resources_consumers`.
 *
 * Returns how many rows it touched.
 */
export function consumerDelete(
  db: Db,
  id: string,
): Promise<number> {
  return execute(db, consumerDeleteText, [id]);
}

/** A row of `consumer/get.sql`. */
export interface ConsumerGetRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
  last_seen_at: string | null;
  agent_version: string | null;
  silent_seconds: number | null;
}

/** Reads a consumer by its id. */
export function consumerGet(
  db: Db,
  id: string,
): Promise<ConsumerGetRow[]> {
  return query<ConsumerGetRow>(db, consumerGetText, [id]);
}

/** A row of `consumer/names_after.sql`. */
export interface ConsumerNamesAfterRow {
  name: string;
}

/** Pages through the names of all consumers. */
export function consumerNamesAfter(
  db: Db,
  afterName: string,
  limitCount: number,
): Promise<ConsumerNamesAfterRow[]> {
  return query<ConsumerNamesAfterRow>(db, consumerNamesAfterText, [afterName, limitCount]);
}

/** A row of `consumer/page.sql`. */
export interface ConsumerPageRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
  last_seen_at: string | null;
  agent_version: string | null;
  silent_seconds: number | null;
}

/** Reads a page of consumers in the order of their ids. */
export function consumerPage(
  db: Db,
  afterId: string,
  limitCount: number,
): Promise<ConsumerPageRow[]> {
  return query<ConsumerPageRow>(db, consumerPageText, [afterId, limitCount]);
}

/**
 * Notes when consumers were last heard of, and by which version of the agent.
 *
 * What another server has just written stays as it is, and a row that it is writing is not waited for.
 *
 * Returns how many rows it touched.
 *
 * `agentVersions`: null where it is not known
 */
export function consumerPulse(
  db: Db,
  names: readonly (string | null)[],
  agentVersions: readonly (string | null)[] | null,
  secondsAgo: readonly (number | null)[],
): Promise<number> {
  return execute(db, consumerPulseText, [names, agentVersions, secondsAgo]);
}

/** A row of `consumer/read_listed.sql`. */
export interface ConsumerReadListedRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
  last_seen_at: string | null;
  agent_version: string | null;
  silent_seconds: number | null;
}

/** Reads consumers for a list, in no order. */
export function consumerReadListed(
  db: Db,
  ids: readonly (string | null)[],
): Promise<ConsumerReadListedRow[]> {
  return query<ConsumerReadListedRow>(db, consumerReadListedText, [ids]);
}

/** A row of `consumer/update_labels.sql`. */
export interface ConsumerUpdateLabelsRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
  last_seen_at: string | null;
  agent_version: string | null;
  silent_seconds: number | null;
}

/** Replaces the labels of a consumer. */
export function consumerUpdateLabels(
  db: Db,
  id: string,
  labels: string | null,
): Promise<ConsumerUpdateLabelsRow[]> {
  return query<ConsumerUpdateLabelsRow>(db, consumerUpdateLabelsText, [id, labels]);
}

/** A row of `receipt/find.sql`. */
export interface ReceiptFindRow {
  id: string;
  resource_id: string;
  version: number;
}

/** Reads which of these changes have been made. */
export function receiptFind(
  db: Db,
  ids: readonly (string | null)[],
): Promise<ReceiptFindRow[]> {
  return query<ReceiptFindRow>(db, receiptFindText, [ids]);
}

/** A row of `receipt/purge.sql`. */
export interface ReceiptPurgeRow {
  id: string;
}

/** Forgets receipts whose requests are forgotten. */
export function receiptPurge(
  db: Db,
  ageSeconds: number,
  limitCount: number,
): Promise<ReceiptPurgeRow[]> {
  return query<ReceiptPurgeRow>(db, receiptPurgeText, [ageSeconds, limitCount]);
}

/** A row of `request_key/claim.sql`. */
export interface RequestKeyClaimRow {
  request_id: string;
}

/**
 * Begins the work on a request, if it is new, was given up, or is so old that it does not count any more.
 *
 * No row means that somebody else is at it, that it is answered, or that it is another request.
 *
 * `requestId`: the one of a new request
 *
 * `claimSeconds`: after so long whoever began is taken for dead
 */
export function requestKeyClaim(
  db: Db,
  caller: string,
  key: string,
  requestId: string,
  fingerprint: string,
  claimSeconds: number,
  ageSeconds: number,
): Promise<RequestKeyClaimRow[]> {
  return query<RequestKeyClaimRow>(db, requestKeyClaimText, [caller, key, requestId, fingerprint, claimSeconds, ageSeconds]);
}

/** A row of `request_key/get.sql`. */
export interface RequestKeyGetRow {
  fingerprint: string;
  status: number | null;
  headers: string | null;
  body: string | null;
}

/** Reads what is known of a request. */
export function requestKeyGet(
  db: Db,
  caller: string,
  key: string,
  ageSeconds: number,
): Promise<RequestKeyGetRow[]> {
  return query<RequestKeyGetRow>(db, requestKeyGetText, [caller, key, ageSeconds]);
}

/**
 * Keeps the answer of a request, unless there is one.
 *
 * Returns how many rows it touched.
 */
export function requestKeyKeep(
  db: Db,
  caller: string,
  key: string,
  requestId: string,
  status: number,
  headers: string,
  body: string,
): Promise<number> {
  return execute(db, requestKeyKeepText, [caller, key, requestId, status, headers, body]);
}

/** A row of `request_key/measure.sql`. */
export interface RequestKeyMeasureRow {
  kept: number;
  body_bytes: number;
}

/** Counts the requests that are kept, up to a number, and the bytes of their answers, by the index alone. */
export function requestKeyMeasure(
  db: Db,
  countMax: number,
): Promise<RequestKeyMeasureRow[]> {
  return query<RequestKeyMeasureRow>(db, requestKeyMeasureText, [countMax]);
}

/** A row of `request_key/purge.sql`. */
export interface RequestKeyPurgeRow {
  request_id: string;
}

/** Forgets requests that are too old to come again. */
export function requestKeyPurge(
  db: Db,
  ageSeconds: number,
  limitCount: number,
): Promise<RequestKeyPurgeRow[]> {
  return query<RequestKeyPurgeRow>(db, requestKeyPurgeText, [ageSeconds, limitCount]);
}

/**
 * Lets a request be tried again at once.
 *
 * Returns how many rows it touched.
 */
export function requestKeyRelease(
  db: Db,
  caller: string,
  key: string,
  requestId: string,
): Promise<number> {
  return execute(db, requestKeyReleaseText, [caller, key, requestId]);
}

/** A row of `resource/abandon.sql`. */
export interface ResourceAbandonRow {
  id: string;
}

/**
 * Buries a resource without its agent's word, since nobody will ever give it, and says who wanted that.
 *
 * An agent that is there has to have been told of the deletion: else its objects would stay with nobody
 * knowing. The sequence of the last report, which is not known here, goes up by one.
 *
 * `connectedSeconds`: for so long after it was last seen an agent counts as there
 */
export function resourceAbandon(
  db: Db,
  id: string,
  type: string,
  abandonedBy: string,
  status: string,
  statusEvent: string,
  connectedSeconds: number,
): Promise<ResourceAbandonRow[]> {
  return query<ResourceAbandonRow>(db, resourceAbandonText, [id, type, abandonedBy, status, statusEvent, connectedSeconds]);
}

/** A row of `resource/claim_due.sql`. */
export interface ResourceClaimDueRow {
  id: string;
  consumer_name: string;
  data_type: string;
  version: number;
  spec: string;
  spec_event: string;
  metadata: string | null;
  created_at: string;
  deleted_at: string | null;
  sent_at: string;
}

/**
 * Takes pending resources that were found due, if they still are, and marks the sends.
 *
 * What another server takes at the same time is passed over. What is sent since its consumer has connected
 * anew starts with a short pause again: how long an earlier connection was silent says nothing of this one.
 * Nobody waits for the marks to reach the disk: what loses its mark is sent once more.
 *
 * `connectedAts`: of the consumer of each
 */
export function resourceClaimDue(
  db: Db,
  ids: readonly (string | null)[],
  connectedAts: readonly (string | null)[],
): Promise<ResourceClaimDueRow[]> {
  return query<ResourceClaimDueRow>(db, resourceClaimDueText, [ids, connectedAts]);
}

/** A row of `resource/claim_pending.sql`. */
export interface ResourceClaimPendingRow {
  id: string;
  consumer_name: string;
  data_type: string;
  version: number;
  spec: string;
  spec_event: string;
  metadata: string | null;
  created_at: string;
  deleted_at: string | null;
  sent_at: string;
  found_count: number;
}

/**
 * Marks the next pending resources of these consumers as sent, and returns them, but those that are on their way.
 *
 * For agents that hold what they are believed to hold: nothing else is due. On its way is what was sent to this
 * connection and not reported since. In each lane it goes on after an id, so that all calls together look at each
 * pending resource once; so the rows come in the order of their ids. No more than about 8 MB of specs are marked, and
 * one at least: each row tells how many were found. Sizes are those on disk, which are known without reading them.
 *
 * `afterIds`: of creates and updates
 *
 * `turnCount`: rows for each consumer and lane
 */
export function resourceClaimPending(
  db: Db,
  consumerNames: readonly (string | null)[],
  connectedAts: readonly (string | null)[],
  dataTypes: readonly (string | null)[],
  afterIds: readonly (string | null)[],
  afterDeletionIds: readonly (string | null)[],
  turnCount: number,
): Promise<ResourceClaimPendingRow[]> {
  return query<ResourceClaimPendingRow>(db, resourceClaimPendingText, [consumerNames, connectedAts, dataTypes, afterIds, afterDeletionIds, turnCount]);
}

/** A row of `resource/claim_resync.sql`. */
export interface ResourceClaimResyncRow {
  id: string;
  consumer_name: string;
  data_type: string;
  version: number;
  spec: string;
  spec_event: string;
  metadata: string | null;
  created_at: string;
  deleted_at: string | null;
  sent_at: string;
}

/**
 * Marks resources as sent because an agent's resync lacks them, and returns them.
 *
 * Those that are still pending, or whose spec the agent lacks though it holds the version: what the agent has
 * reported since is left out, and what has been sent to its connection meanwhile.
 */
export function resourceClaimResync(
  db: Db,
  ids: readonly (string | null)[],
  connectedAt: string,
  lackingIds: readonly (string | null)[],
): Promise<ResourceClaimResyncRow[]> {
  return query<ResourceClaimResyncRow>(db, resourceClaimResyncText, [ids, connectedAt, lackingIds]);
}

/** A row of `resource/create.sql`. */
export interface ResourceCreateRow {
  id: string;
  version: number;
  created_at: string;
  sent_at: string | null;
}

/**
 * Stores new resources, each with the note that its agent must be told and an entry in the change feed, in one
 * statement.
 *
 * An id or name that is taken, and a consumer that is not known, leave nothing behind and bring no row. A resource
 * that is created again takes over the last sequence of its earlier life; if that was abandoned, its agent may still
 * hold it, and would take this one for the same: so it begins above its version. A receipt that exists fails the
 * statement: the change has been made.
 *
 * What its server sends by itself once this is committed is marked as sent, as the publisher would (spec_event/claim);
 * nobody else is told.
 *
 * `specs`: joined
 *
 * `specEvents`: joined
 *
 * `metadatas`: joined
 *
 * `receipts`: null for a change that needs none
 *
 * `ttls`: seconds that it stays once it is done; null for ever
 *
 * `sends`: true for what its server sends
 */
export function resourceCreate(
  db: Db,
  ids: readonly (string | null)[],
  names: readonly (string | null)[],
  sources: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
  types: readonly (string | null)[],
  versions: readonly (number | null)[],
  specs: string,
  specHashes: readonly (string | null)[],
  specEvents: string,
  metadatas: string,
  dataTypes: readonly (string | null)[],
  receipts: readonly (string | null)[] | null,
  ttls: readonly (number | null)[] | null,
  sends: readonly (boolean | null)[],
): Promise<ResourceCreateRow[]> {
  return query<ResourceCreateRow>(db, resourceCreateText, [ids, names, sources, consumerNames, types, versions, specs, specHashes, specEvents, metadatas, dataTypes, receipts, ttls, sends]);
}

/** A row of `resource/delete.sql`. */
export interface ResourceDeleteRow {
  position: number;
  source: string | null;
  consumer_name: string | null;
  is_marked: boolean | null;
  version: number | null;
  is_deleting: boolean;
  is_other_life: boolean;
}

/**
 * Marks resources as being deleted, each with the note that its agent must be told and an entry in the change
 * feed, in one statement.
 *
 * What is not there, or being deleted already, or belongs to another source, or has another version than the caller
 * has seen, stays as it is. The time of the deletion is taken with the row locked: whoever read the row
 * alive did so before. A receipt that exists fails the statement: the change has been made.
 *
 * `versions`: 0 for whatever is stored
 *
 * `lives`: when the resource that is meant was created; null for whichever has the id
 *
 * `receipts`: null for a change that needs none
 */
export function resourceDelete(
  db: Db,
  ids: readonly (string | null)[],
  sources: readonly (string | null)[],
  versions: readonly (number | null)[],
  lives: readonly (string | null)[] | null,
  receipts: readonly (string | null)[] | null,
): Promise<ResourceDeleteRow[]> {
  return query<ResourceDeleteRow>(db, resourceDeleteText, [ids, sources, versions, lives, receipts]);
}

/** A row of `resource/expire.sql`. */
export interface ResourceExpireRow {
  id: string;
  consumer_name: string;
  version: number;
  ttl_seconds: number | null;
}

/**
 * Marks resources as being deleted whose jobs have been done for as long as their specs say, as if somebody had asked:
 * each with the note that its agent must be told and an entry in the change feed, in one statement.
 *
 * What another server marks at the moment is left to it. A new version or a status that is no longer complete has taken
 * the time away; one that a server of before this option has written counts as such.
 */
export function resourceExpire(
  db: Db,
  limitCount: number,
  deletedBy: string,
): Promise<ResourceExpireRow[]> {
  return query<ResourceExpireRow>(db, resourceExpireText, [limitCount, deletedBy]);
}

/** A row of `resource/find_due.sql`. */
export interface ResourceFindDueRow {
  place: number;
  seen_count: number;
  last_id: string | null;
  due_ids: (string | null)[];
  due_bytes: (number | null)[];
  rest_ms: number;
}

/**
 * Looks through pending resources, a part of each lane, for those whose time to be sent again has come.
 *
 * Due is what the backoff says, and what was last sent before its consumer connected: that message went to a
 * connection that is gone. And what was sent at a time that is yet to come: the clock was ahead, and by hours perhaps,
 * so no other time of it says anything. A walk looks at each pending resource once, however many wait: each step
 * begins where the last one ended, and looks at no more than a number of rows. Nothing is locked. Sizes are those of the
 * specs on disk, which are known without reading them.
 *
 * `consumerNames`: one for each lane to look at
 *
 * `areDeletions`: which lane that is
 *
 * `afterIds`: where it begins
 *
 * `lookCount`: rows to look at in each lane
 */
export function resourceFindDue(
  db: Db,
  consumerNames: readonly (string | null)[],
  areDeletions: readonly (boolean | null)[],
  afterIds: readonly (string | null)[],
  connectedAts: readonly (string | null)[],
  lookCount: number,
): Promise<ResourceFindDueRow[]> {
  return query<ResourceFindDueRow>(db, resourceFindDueText, [consumerNames, areDeletions, afterIds, connectedAts, lookCount]);
}

/** A row of `resource/foresee.sql`. */
export interface ResourceForeseeRow {
  spec_hash: string | null;
  name_owner: string | null;
  is_known_consumer: boolean;
  is_storable: boolean | null;
  now_time: string;
}

/**
 * Tells what a change would meet, and that what it would store can be stored. Changes nothing.
 *
 * `metadata`: null for none
 */
export function resourceForesee(
  db: Db,
  id: string,
  name: string,
  consumerName: string,
  spec: string,
  metadata: string | null,
): Promise<ResourceForeseeRow[]> {
  return query<ResourceForeseeRow>(db, resourceForeseeText, [id, name, consumerName, spec, metadata]);
}

/** A row of `resource/get.sql`. */
export interface ResourceGetRow {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
  type: string;
  data_type: string;
  version: number;
  spec: string;
  metadata: string | null;
  status: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  observed_version: number;
  applied_version: number;
  sent_version: number;
  sent_at: string | null;
  attempts: number;
  next_send_at: string;
  silent_seconds: number | null;
}

/** Reads a resource by its id, also while it is being deleted. */
export function resourceGet(
  db: Db,
  id: string,
): Promise<ResourceGetRow[]> {
  return query<ResourceGetRow>(db, resourceGetText, [id]);
}

/** A row of `resource/get_many.sql`. */
export interface ResourceGetManyRow {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
  type: string;
  data_type: string;
  version: number;
  spec: string;
  metadata: string | null;
  status: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  observed_version: number;
  applied_version: number;
  sent_version: number;
  sent_at: string | null;
  attempts: number;
  next_send_at: string;
  silent_seconds: number | null;
}

/** Reads resources by their ids, in no order, also while they are being deleted. */
export function resourceGetMany(
  db: Db,
  ids: readonly (string | null)[],
): Promise<ResourceGetManyRow[]> {
  return query<ResourceGetManyRow>(db, resourceGetManyText, [ids]);
}

/** A row of `resource/lose.sql`. */
export interface ResourceLoseRow {
  id: string;
  is_just_reported: boolean;
}

/**
 * Marks what an agent says that it lacks, so that it is pending again whatever becomes of the answer.
 *
 * The answer itself is under way: only if it fails the ledger sends, after a while. Ids between two
 * others are looked at, since a long list comes in parts; they are compared by their bytes.
 * `is_just_reported` tells that the version was reported within the last minute: then the list may be
 * older than the report, and nothing is lost.
 *
 * Both sides are gathered by id and not joined, since PostgreSQL does not know how long the list is: a
 * plan for ten ids walked one of 20,000 for each resource (90 s). And what is lost is updated by its id
 * alone, or a plan may walk that for each resource of the consumer.
 *
 * `throughId`: null for the end
 */
export function resourceLose(
  db: Db,
  consumerName: string,
  ids: readonly (string | null)[],
  versions: readonly (number | null)[],
  afterId: string,
  throughId: string | null,
  dataType: string,
): Promise<ResourceLoseRow[]> {
  return query<ResourceLoseRow>(db, resourceLoseText, [consumerName, ids, versions, afterId, throughId, dataType]);
}

/** A row of `resource/observe.sql`. */
export interface ResourceObserveRow {
  id: string;
}

/** Marks resources as held by their agent, which says so in a resync though no report came. */
export function resourceObserve(
  db: Db,
  ids: readonly (string | null)[],
  versions: readonly (number | null)[],
): Promise<ResourceObserveRow[]> {
  return query<ResourceObserveRow>(db, resourceObserveText, [ids, versions]);
}

/** A row of `resource/overtake.sql`. */
export interface ResourceOvertakeRow {
  id: string;
  consumer_name: string;
  version: number;
  new_version: number | null;
}

/**
 * Finds resources of which their agents hold a later version than is stored, and overtakes those that wait.
 *
 * A database that was restored from a backup is behind its agents. A change that somebody asks for afterwards would
 * be older than what the agent holds, and wait for ever: so it gets a version above that, and is sent at once. What
 * nobody has changed stays as it is, here and on the agent.
 *
 * `sequences`: of the reports that say so; null where a list does
 */
export function resourceOvertake(
  db: Db,
  ids: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
  versions: readonly (number | null)[],
  sequences: readonly (string | bigint | null)[] | null,
): Promise<ResourceOvertakeRow[]> {
  return query<ResourceOvertakeRow>(db, resourceOvertakeText, [ids, consumerNames, versions, sequences]);
}

/** A row of `resource/page_versions.sql`. */
export interface ResourcePageVersionsRow {
  id: string;
  version: number;
  is_deleting: boolean;
  is_observed: boolean;
  is_on_its_way: boolean;
  stored_bytes: number;
}

/**
 * Pages through what a consumer should hold of a data type, without the documents, for a spec resync.
 *
 * On its way is what was sent to this connection and not reported since. The size is that on disk, which is known
 * without reading the document.
 */
export function resourcePageVersions(
  db: Db,
  consumerName: string,
  afterId: string,
  limitCount: number,
  connectedAt: string,
  dataType: string,
): Promise<ResourcePageVersionsRow[]> {
  return query<ResourcePageVersionsRow>(db, resourcePageVersionsText, [consumerName, afterId, limitCount, connectedAt, dataType]);
}

/** A row of `resource/pending_consumers.sql`. */
export interface ResourcePendingConsumersRow {
  consumer_name: string;
}

/**
 * Finds which of these consumers have something pending.
 *
 * Asked by the consumers that are connected to one server: those of others, or of none, may be many more.
 */
export function resourcePendingConsumers(
  db: Db,
  consumerNames: readonly (string | null)[],
): Promise<ResourcePendingConsumersRow[]> {
  return query<ResourcePendingConsumersRow>(db, resourcePendingConsumersText, [consumerNames]);
}

/** A row of `resource/pending_consumers_after.sql`. */
export interface ResourcePendingConsumersAfterRow {
  consumer_name: string;
}

/**
 * Finds consumers that have something pending, by name, from a place on.
 *
 * Each step looks up one entry of the index of pending resources.
 */
export function resourcePendingConsumersAfter(
  db: Db,
  afterName: string,
  limitCount: number,
): Promise<ResourcePendingConsumersAfterRow[]> {
  return query<ResourcePendingConsumersAfterRow>(db, resourcePendingConsumersAfterText, [afterName, limitCount]);
}

/** A row of `resource/read_listed.sql`. */
export interface ResourceReadListedRow {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
  type: string;
  data_type: string;
  version: number;
  spec: string;
  metadata: string | null;
  status: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  observed_version: number;
  applied_version: number;
  sent_version: number;
  sent_at: string | null;
  attempts: number;
  next_send_at: string;
  silent_seconds: number | null;
}

/** Reads resources for a list, in no order; the documents only if they are to be shown. */
export function resourceReadListed(
  db: Db,
  ids: readonly (string | null)[],
  withSpec: boolean,
  withStatus: boolean,
): Promise<ResourceReadListedRow[]> {
  return query<ResourceReadListedRow>(db, resourceReadListedText, [ids, withSpec, withStatus]);
}

/** A row of `resource/update.sql`. */
export interface ResourceUpdateRow {
  position: number;
  version: number | null;
  source: string | null;
  is_deleting: boolean;
  is_same: boolean;
  is_other_life: boolean;
  new_version: number | null;
  consumer_name: string | null;
  created_at: string | null;
  sent_at: string | null;
}

/**
 * Stores new versions of resources, each with the note that its agent must be told and an entry in the change
 * feed, in one statement.
 *
 * A version of 0 takes whatever is stored. What is being deleted, has another version, belongs to
 * another source or is the same already stays as it is; the answer tells which, as seen before the update.
 * A source that has come to speak another data type changes that of its resource, and what kind it is. A receipt
 * that exists fails the statement: the change has been made.
 *
 * While nothing of a resource is sent, one note is enough for all its versions: a consumer may be away for months.
 *
 * What its server sends by itself once this is committed is marked as sent, as the publisher would (spec_event/claim);
 * nobody else is told.
 *
 * `specs`: joined
 *
 * `specEvents`: joined
 *
 * `metadatas`: joined
 *
 * `types`: null keeps the stored one
 *
 * `lives`: when the resource that is meant was created; null for whichever has the id
 *
 * `receipts`: null for a change that needs none
 *
 * `ttls`: seconds that it stays once it is done; null for ever
 *
 * `sendTos`: the consumer to which its server sends, if it is of that; else null
 */
export function resourceUpdate(
  db: Db,
  ids: readonly (string | null)[],
  sources: readonly (string | null)[],
  versions: readonly (number | null)[],
  specs: string,
  specHashes: readonly (string | null)[],
  specEvents: string,
  metadatas: string,
  dataTypes: readonly (string | null)[],
  types: readonly (string | null)[] | null,
  lives: readonly (string | null)[] | null,
  receipts: readonly (string | null)[] | null,
  ttls: readonly (number | null)[] | null,
  sendTos: readonly (string | null)[] | null,
): Promise<ResourceUpdateRow[]> {
  return query<ResourceUpdateRow>(db, resourceUpdateText, [ids, sources, versions, specs, specHashes, specEvents, metadatas, dataTypes, types, lives, receipts, ttls, sendTos]);
}

/** A row of `resource/why_not_created.sql`. */
export interface ResourceWhyNotCreatedRow {
  id: string;
  is_taken: boolean;
  is_known_consumer: boolean;
}

/** Tells why resources were not created. Neither reason: what was in the way has gone meanwhile. */
export function resourceWhyNotCreated(
  db: Db,
  ids: readonly (string | null)[],
  names: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
): Promise<ResourceWhyNotCreatedRow[]> {
  return query<ResourceWhyNotCreatedRow>(db, resourceWhyNotCreatedText, [ids, names, consumerNames]);
}

/** A row of `spec_event/claim.sql`. */
export interface SpecEventClaimRow {
  found_count: number;
  id: string | null;
  consumer_name: string | null;
  data_type: string | null;
  version: number | null;
  spec: string | null;
  spec_event: string | null;
  metadata: string | null;
  created_at: string | null;
  deleted_at: string | null;
  sent_at: string | null;
}

/**
 * Takes the oldest events of each lane, in fair turns, and marks their resources as sent.
 *
 * One statement: the event is gone exactly when the ledger says that the resource was sent, so a
 * crash after it leaves a pending row that redelivery finds. Events that another server holds are
 * skipped, not waited for. A resource that was sent at this version already is not sent again, but its
 * event counts: the first row tells how many were found, even if there is nothing to send.
 *
 * Of what was found no more is taken than about 8 MB of specs, and one event at least; the first lanes come first.
 * How large specs are is guessed from some of them: to look at the size of each would take a sixth more time, and mostly
 * they are small. Size is that on disk, which is known without reading the documents.
 *
 * Nobody waits for its commit to reach the disk. If a crash of the database takes it, it takes all of it, and
 * nothing that was committed before: the event is there again and is sent once more.
 *
 * A plan may have been made while the outbox and the pending resources were few, as they mostly are,
 * and must still do when there are many. So rows are found by their place and by a list of ids, and
 * the condition is written in a way that the index of pending resources does not fit.
 *
 * `consumerNames`: one for each lane
 *
 * `areDeletions`: which lane that is
 *
 * `turnCount`: rows for each lane
 */
export function specEventClaim(
  db: Db,
  consumerNames: readonly (string | null)[],
  areDeletions: readonly (boolean | null)[],
  turnCount: number,
  limitCount: number,
): Promise<SpecEventClaimRow[]> {
  return query<SpecEventClaimRow>(db, specEventClaimText, [consumerNames, areDeletions, turnCount, limitCount]);
}

/** A row of `spec_event/consumers.sql`. */
export interface SpecEventConsumersRow {
  consumer_name: string;
}

/**
 * Finds which of these consumers have events waiting.
 *
 * Asked by the consumers that are connected to one server: those of others, or of none, may be many more.
 */
export function specEventConsumers(
  db: Db,
  consumerNames: readonly (string | null)[],
): Promise<SpecEventConsumersRow[]> {
  return query<SpecEventConsumersRow>(db, specEventConsumersText, [consumerNames]);
}

/** A row of `spec_event/consumers_after.sql`. */
export interface SpecEventConsumersAfterRow {
  consumer_name: string;
}

/**
 * Finds consumers that have events waiting, by name, from a place on.
 *
 * Each step looks up one entry of the index, so a consumer costs the same whether one of its events waits
 * or a hundred thousand.
 */
export function specEventConsumersAfter(
  db: Db,
  afterName: string,
  limitCount: number,
): Promise<SpecEventConsumersAfterRow[]> {
  return query<SpecEventConsumersAfterRow>(db, specEventConsumersAfterText, [afterName, limitCount]);
}

/** A row of `status/confirm_deletion.sql`. */
export interface StatusConfirmDeletionRow {
  position: number;
}

/**
 * Removes resources whose deletion their agents confirm, leaving a tombstone and an entry in the feed.
 *
 * Only what is being deleted, and only by a report that is newer than the last one: a late
 * confirmation from an earlier life of the same id changes nothing. Of what was abandoned it is noted
 * that the agent has removed it after all.
 *
 * `sequences`: null where the report has none
 *
 * `statuses`: joined
 *
 * `statusEvents`: joined
 */
export function statusConfirmDeletion(
  db: Db,
  ids: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
  sequences: readonly (string | bigint | null)[] | null,
  statuses: string,
  statusEvents: string,
): Promise<StatusConfirmDeletionRow[]> {
  return query<StatusConfirmDeletionRow>(db, statusConfirmDeletionText, [ids, consumerNames, sequences, statuses, statusEvents]);
}

/** A row of `status/digests.sql`. */
export interface StatusDigestsRow {
  consumer_name: string;
  digest: string;
  version_digest: string;
}

/**
 * Sums up what is known of the statuses of each of these consumers, for the question whether it still holds.
 *
 * The hash of one line a resource, `<id> <status hash>`, in the order of the ids' bytes; an agent makes the same. And
 * one of `<id> <version>`, for what its agent is believed to hold.
 */
export function statusDigests(
  db: Db,
  consumerNames: readonly (string | null)[],
  dataType: string,
): Promise<StatusDigestsRow[]> {
  return query<StatusDigestsRow>(db, statusDigestsText, [consumerNames, dataType]);
}

/** A row of `status/hashes_of_consumer.sql`. */
export interface StatusHashesOfConsumerRow {
  id: string;
  data_type: string;
  status_hash: string | null;
}

/** Pages through what is known of a consumer's statuses, for the question whether they still hold. */
export function statusHashesOfConsumer(
  db: Db,
  consumerName: string,
  afterId: string,
  limitCount: number,
): Promise<StatusHashesOfConsumerRow[]> {
  return query<StatusHashesOfConsumerRow>(db, statusHashesOfConsumerText, [consumerName, afterId, limitCount]);
}

/** A row of `status/hashes_of_source.sql`. */
export interface StatusHashesOfSourceRow {
  id: string;
  status_hash: string | null;
  has_status: boolean;
  stored_bytes: number;
}

/**
 * Pages through the hashes of the statuses of a source, for a status resync.
 *
 * The size is that on disk, which is known without reading the documents.
 */
export function statusHashesOfSource(
  db: Db,
  source: string,
  afterId: string,
  limitCount: number,
): Promise<StatusHashesOfSourceRow[]> {
  return query<StatusHashesOfSourceRow>(db, statusHashesOfSourceText, [source, afterId, limitCount]);
}

/** A row of `status/of_resources.sql`. */
export interface StatusOfResourcesRow {
  id: string;
  spec: string;
  metadata: string | null;
  status: string;
  status_event: string;
  created_at: string;
  deleted_at: string | null;
}

/** Reads the statuses of resources of a source, for a status resync. */
export function statusOfResources(
  db: Db,
  source: string,
  ids: readonly (string | null)[],
): Promise<StatusOfResourcesRow[]> {
  return query<StatusOfResourcesRow>(db, statusOfResourcesText, [source, ids]);
}

/** A row of `status/refuse.sql`. */
export interface StatusRefuseRow {
  id: string;
}

/**
 * Stores the server's own word on a version that cannot be sent, with its entry in the change feed.
 *
 * Only once for each hash. It comes between the agent's last report and its next, whose sequence is that
 * of a later moment; without a last one it is the first sequence that peers take (node 1, at their epoch).
 * The version is not observed, so it stays pending.
 */
export function statusRefuse(
  db: Db,
  id: string,
  version: number,
  status: string,
  statusEvent: string,
  statusHash: string,
): Promise<StatusRefuseRow[]> {
  return query<StatusRefuseRow>(db, statusRefuseText, [id, version, status, statusEvent, statusHash]);
}

/** A row of `status/update.sql`. */
export interface StatusUpdateRow {
  position: number;
}

/**
 * Stores reports and their entries in the change feed, in one statement.
 *
 * A report counts only for the version that is stored and only if it is newer than the last one. No
 * row means that it is stale, which makes a duplicate harmless wherever it arrives. One that says that all is done
 * starts the time that the resource still has, if its spec sets one; the first such word counts.
 *
 * `statuses`: joined
 *
 * `statusEvents`: joined
 *
 * `finished`: true if everything is done, in the version that is reported
 */
export function statusUpdate(
  db: Db,
  ids: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
  versions: readonly (number | null)[],
  sequences: readonly (string | bigint | null)[],
  appliedVersions: readonly (number | null)[],
  statuses: string,
  statusEvents: string,
  statusHashes: readonly (string | null)[],
  finished: readonly (boolean | null)[],
): Promise<StatusUpdateRow[]> {
  return query<StatusUpdateRow>(db, statusUpdateText, [ids, consumerNames, versions, sequences, appliedVersions, statuses, statusEvents, statusHashes, finished]);
}

/** A row of `table/grown.sql`. */
export interface TableGrownRow {
  name: string;
}

/**
 * The tables that have more than twice the pages that PostgreSQL knew of when it was last told to look.
 *
 * Only those that the session's role may analyze. A few pages more say nothing yet.
 */
export function tableGrown(
  db: Db,
  names: readonly (string | null)[],
  morePages: number,
): Promise<TableGrownRow[]> {
  return query<TableGrownRow>(db, tableGrownText, [names, morePages]);
}

/** A row of `tombstone/get.sql`. */
export interface TombstoneGetRow {
  id: string;
  source: string;
  consumer_name: string;
  version: number;
  last_sequence: string | null;
  deleted_at: string;
  confirmed_at: string;
  abandoned_by: string | null;
  abandoned_at: string | null;
  is_confirmed: boolean;
}

/** Reads the tombstone of a resource: when it went, and who gave it up if its agent never confirmed. */
export function tombstoneGet(
  db: Db,
  id: string,
): Promise<TombstoneGetRow[]> {
  return query<TombstoneGetRow>(db, tombstoneGetText, [id]);
}

/** A row of `tombstone/of_consumer.sql`. */
export interface TombstoneOfConsumerRow {
  id: string;
  deleted_at: string;
}

/** Finds which of these resources are known to be deleted on a consumer. */
export function tombstoneOfConsumer(
  db: Db,
  consumerName: string,
  ids: readonly (string | null)[],
): Promise<TombstoneOfConsumerRow[]> {
  return query<TombstoneOfConsumerRow>(db, tombstoneOfConsumerText, [consumerName, ids]);
}

/** A row of `tombstone/of_source.sql`. */
export interface TombstoneOfSourceRow {
  id: string;
  consumer_name: string;
  version: number;
  last_sequence: string | null;
  confirmed_at: string;
}

/**
 * Finds which of these resources of a source are known to be deleted.
 *
 * An id that was created again, by whomever, has no tombstone any more.
 */
export function tombstoneOfSource(
  db: Db,
  source: string,
  ids: readonly (string | null)[],
): Promise<TombstoneOfSourceRow[]> {
  return query<TombstoneOfSourceRow>(db, tombstoneOfSourceText, [source, ids]);
}

/** A row of `tombstone/purge.sql`. */
export interface TombstonePurgeRow {
  id: string;
}

/**
 * Drops tombstones that nobody can still ask for.
 *
 * What was abandoned may still be on its cluster, so its tombstone waits for the agent, or for the end of
 * the consumer.
 */
export function tombstonePurge(
  db: Db,
  ageSeconds: number,
  limitCount: number,
): Promise<TombstonePurgeRow[]> {
  return query<TombstonePurgeRow>(db, tombstonePurgeText, [ageSeconds, limitCount]);
}

/** A row of `wake/tell.sql`. */
export interface WakeTellRow {
  pg_notify: string | null;
}

/** Notifies other servers, in a transaction that stores nothing and so waits for no disk. */
export function wakeTell(
  db: Db,
  channels: readonly (string | null)[],
  texts: readonly (string | null)[],
): Promise<WakeTellRow[]> {
  return query<WakeTellRow>(db, wakeTellText, [channels, texts]);
}

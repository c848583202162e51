/** A typed function for each file of sql/queries. */

// Written by tools/sqlgen.ts (`bun run generate`). Do not edit.

import type { Db } from "../lib/db/connect.ts";
import { execute, query } from "../lib/db/query.ts";
import consumerCountText from "../../sql/queries/consumer/count.sql" with { type: "text" };
import consumerCreateText from "../../sql/queries/consumer/create.sql" with { type: "text" };
import consumerDeleteText from "../../sql/queries/consumer/delete.sql" with { type: "text" };
import consumerGetText from "../../sql/queries/consumer/get.sql" with { type: "text" };
import consumerListText from "../../sql/queries/consumer/list.sql" with { type: "text" };
import consumerUpdateLabelsText from "../../sql/queries/consumer/update_labels.sql" with { type: "text" };
import resourceCountText from "../../sql/queries/resource/count.sql" with { type: "text" };
import resourceCreateText from "../../sql/queries/resource/create.sql" with { type: "text" };
import resourceDeleteText from "../../sql/queries/resource/delete.sql" with { type: "text" };
import resourceGetText from "../../sql/queries/resource/get.sql" with { type: "text" };
import resourceListText from "../../sql/queries/resource/list.sql" with { type: "text" };
import resourceUpdateText from "../../sql/queries/resource/update.sql" with { type: "text" };

/** A row of `consumer/count.sql`. */
export interface ConsumerCountRow {
  total: string;
}

/** Counts all consumers. */
export function consumerCount(
  db: Db,
): Promise<ConsumerCountRow[]> {
  return query<ConsumerCountRow>(db, consumerCountText, []);
}

/** A row of `consumer/create.sql`. */
export interface ConsumerCreateRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
}

/** Stores a new consumer. A name that is taken violates `consumers_name_key`. */
export function consumerCreate(
  db: Db,
  id: string,
  name: string,
  labels: string,
): Promise<ConsumerCreateRow[]> {
  return query<ConsumerCreateRow>(db, consumerCreateText, [id, name, labels]);
}

/**
 * Removes a consumer. One that has resources, even while they are being deleted, violates
 * `fk_resources_consumers`.
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
}

/** Reads a consumer by its id. */
export function consumerGet(
  db: Db,
  id: string,
): Promise<ConsumerGetRow[]> {
  return query<ConsumerGetRow>(db, consumerGetText, [id]);
}

/** A row of `consumer/list.sql`. */
export interface ConsumerListRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
}

/** Reads a page of consumers, oldest first. */
export function consumerList(
  db: Db,
  limitCount: number,
  offsetCount: string | bigint,
): Promise<ConsumerListRow[]> {
  return query<ConsumerListRow>(db, consumerListText, [limitCount, offsetCount]);
}

/** A row of `consumer/update_labels.sql`. */
export interface ConsumerUpdateLabelsRow {
  id: string;
  name: string;
  labels: string | null;
  created_at: string;
  updated_at: string;
}

/** Replaces the labels of a consumer. */
export function consumerUpdateLabels(
  db: Db,
  id: string,
  labels: string,
): Promise<ConsumerUpdateLabelsRow[]> {
  return query<ConsumerUpdateLabelsRow>(db, consumerUpdateLabelsText, [id, labels]);
}

/** A row of `resource/count.sql`. */
export interface ResourceCountRow {
  total: string;
}

/** Counts the resources of a type. */
export function resourceCount(
  db: Db,
  type: string,
): Promise<ResourceCountRow[]> {
  return query<ResourceCountRow>(db, resourceCountText, [type]);
}

/** A row of `resource/create.sql`. */
export interface ResourceCreateRow {
  position: number;
  created_at: string;
  is_known_consumer: boolean;
}

/**
 * Stores new resources, each with the note that its agent must be told, in one statement.
 *
 * An id or name that is taken, and a consumer that is not known, leave nothing behind; the answer tells
 * which. A resource that is created again takes over the last sequence of its earlier life.
 */
export function resourceCreate(
  db: Db,
  ids: readonly (string | null)[],
  names: readonly (string | null)[],
  sources: readonly (string | null)[],
  consumerNames: readonly (string | null)[],
  types: readonly (string | null)[],
  versions: readonly (number | null)[],
  specs: readonly (string | null)[],
  specHashes: readonly (string | null)[],
  specEvents: readonly (string | null)[],
  metadatas: readonly (string | null)[],
): Promise<ResourceCreateRow[]> {
  return query<ResourceCreateRow>(db, resourceCreateText, [ids, names, sources, consumerNames, types, versions, specs, specHashes, specEvents, metadatas]);
}

/** A row of `resource/delete.sql`. */
export interface ResourceDeleteRow {
  position: number;
  source: string | null;
  is_marked: boolean | null;
}

/**
 * Marks resources as being deleted, each with the note that its agent must be told, in one statement.
 *
 * What is not there, or being deleted already, or belongs to another source, stays as it is.
 */
export function resourceDelete(
  db: Db,
  ids: readonly (string | null)[],
  sources: readonly (string | null)[],
): Promise<ResourceDeleteRow[]> {
  return query<ResourceDeleteRow>(db, resourceDeleteText, [ids, sources]);
}

/** A row of `resource/get.sql`. */
export interface ResourceGetRow {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
  type: string;
  version: number;
  spec: string;
  metadata: string | null;
  status: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}

/** Reads a resource by its id, also while it is being deleted. */
export function resourceGet(
  db: Db,
  id: string,
): Promise<ResourceGetRow[]> {
  return query<ResourceGetRow>(db, resourceGetText, [id]);
}

/** A row of `resource/list.sql`. */
export interface ResourceListRow {
  id: string;
  name: string;
  source: string;
  consumer_name: string;
  type: string;
  version: number;
  spec: string;
  metadata: string | null;
  status: string | null;
  status_version: number | null;
  status_sequence: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}

/** Reads a page of the resources of a type, oldest first, also those that are being deleted. */
export function resourceList(
  db: Db,
  type: string,
  limitCount: number,
  offsetCount: string | bigint,
): Promise<ResourceListRow[]> {
  return query<ResourceListRow>(db, resourceListText, [type, limitCount, offsetCount]);
}

/** A row of `resource/update.sql`. */
export interface ResourceUpdateRow {
  position: number;
  version: number | null;
  source: string | null;
  is_deleting: boolean;
  is_same: boolean;
  new_version: number | null;
}

/**
 * Stores new versions of resources, each with the note that its agent must be told, in one statement.
 *
 * A version of 0 takes whatever is stored. What is being deleted, has another version, belongs to
 * another source or is the same already stays as it is; the answer tells which, as seen before the update.
 */
export function resourceUpdate(
  db: Db,
  ids: readonly (string | null)[],
  sources: readonly (string | null)[],
  versions: readonly (number | null)[],
  specs: readonly (string | null)[],
  specHashes: readonly (string | null)[],
  specEvents: readonly (string | null)[],
  metadatas: readonly (string | null)[],
): Promise<ResourceUpdateRow[]> {
  return query<ResourceUpdateRow>(db, resourceUpdateText, [ids, sources, versions, specs, specHashes, specEvents, metadatas]);
}

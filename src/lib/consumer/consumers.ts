/** The clusters that may receive resources: they are created, listed, labelled and removed here. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { violates } from "../db/query.ts";
import { MaestroError } from "../errors.ts";
import { parseJson } from "../json.ts";
import { dns1123LabelErrors } from "../kube_names.ts";
import { isConnected } from "./connection.ts";

/** A target cluster. Times are RFC 3339; labels are absent if there are none. */
export interface Consumer {
  id: string;
  name: string;
  labels?: Labels;
  created_at: string;
  updated_at: string;
  /** `unknown` if its agent was never heard of. Known with a delay of up to a minute or two. */
  connection: "connected" | "disconnected" | "unknown";
  last_seen_at?: string;
  /** Only our own agents say it. */
  agent_version?: string;
}

export type Labels = Record<string, string>;

/** Creates a consumer. Without a name it is named by its id. A name that is taken is a conflict. */
export async function createConsumer(
  db: Db,
  { name, labels }: { name?: string | undefined; labels?: Labels | undefined },
): Promise<Consumer> {
  const id = crypto.randomUUID();
  if (name) checkName(name);
  try {
    return parseRow(only(await q.consumerCreate(db, id, name || id, formatLabels(labels))));
  } catch (cause) {
    if (violates(cause, "consumers_name_key")) {
      throw new MaestroError("conflict", "This Consumer already exists", { cause });
    }
    throw cause;
  }
}

/** Reads a consumer. Throws `not_found`. */
export async function getConsumer(db: Db, id: string): Promise<Consumer> {
  const [row] = await q.consumerGet(db, id);
  return row ? parseRow(row) : notFound(id);
}

/** Reads consumers by their ids, in no order. */
export async function readConsumers(db: Db, ids: string[]): Promise<Consumer[]> {
  return (await q.consumerReadListed(db, ids)).map(parseRow);
}

/** Reads a page of the consumers in the order of their ids, which goes on behind the last one of the page before. */
export async function pageConsumers(
  db: Db,
  { after, limit }: { after: string; limit: number },
): Promise<Consumer[]> {
  return (await q.consumerPage(db, after, limit)).map(parseRow);
}

/** Replaces the labels of a consumer, or leaves them as they are if none are given. */
export async function updateConsumer(
  db: Db,
  id: string,
  { labels }: { labels?: Labels | undefined },
): Promise<Consumer> {
  if (labels === undefined) return await getConsumer(db, id);
  const [row] = await q.consumerUpdateLabels(db, id, formatLabels(labels));
  return row ? parseRow(row) : notFound(id);
}

/** Removes a consumer; one that is not there is no error. One that has resources stays. */
export async function deleteConsumer(db: Db, id: string): Promise<void> {
  try {
    await q.consumerDelete(db, id);
  } catch (cause) {
    if (!violates(cause, "fk_resources_consumers")) throw cause;
    throw new MaestroError(
      "permission_denied",
      'Unable to delete Consumer: it still has resources, update or delete on table "consumers" ' +
        'violates foreign key constraint "fk_resources_consumers" on table "resources"',
      { cause },
    );
  }
}

function checkName(name: string): void {
  const [error] = dns1123LabelErrors(name);
  if (error === undefined) return;
  throw new MaestroError(
    "invalid_argument",
    `Unable to create Consumer: consumer.name: Invalid value: ${JSON.stringify(name)}: ${error}`,
  );
}

// No labels and an empty map are the same, as peers have it.
function formatLabels(labels: Labels | undefined): string | null {
  return labels && Object.keys(labels).length > 0 ? JSON.stringify(labels) : null;
}

function parseRow(row: q.ConsumerGetRow): Consumer {
  const { labels, last_seen_at, agent_version, silent_seconds, ...rest } = row;
  const connection = isConnected(silent_seconds) ? "connected" : "disconnected";
  return {
    ...rest,
    ...(labels !== null && { labels: parseJson(labels) as Labels }),
    connection: last_seen_at === null ? "unknown" : connection,
    ...(last_seen_at !== null && { last_seen_at }),
    ...(agent_version !== null && { agent_version }),
  };
}

function only<Row>(rows: Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error("a statement that always returns a row returned none");
  return row;
}

function notFound(id: string): never {
  throw new MaestroError("not_found", `Consumer with id='${id}' not found`);
}

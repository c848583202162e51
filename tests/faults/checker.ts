/**
 * Decides after quiet whether the promises were kept, from the answers that sources got, the rows of the database
 * and the objects on the clusters. None of the product's code decides anything here.
 */

import { query } from "../../src/lib/db/query.ts";
import { memoryOf } from "../harness/memory.ts";
import { FOREIGN_PREFIX, NOISE, resourceOf, type Seen } from "./content.ts";
import type { Model, Wanted } from "./model.ts";
import type { AgentPlace, Stage } from "./stage.ts";
import type { Subscriber } from "./subscriber.ts";
import { listConfigMaps, type Witness } from "./witness.ts";
import { SOURCE } from "./workload.ts";

export interface Evidence {
  stage: Stage;
  model: Model;
  witness: Witness;
  subscriber: Subscriber;
}

interface Row {
  id: string;
  name: string;
  source: string;
  version: number;
  observed_version: number;
  applied_version: number;
  status_version: number | null;
  status_sequence: string | null;
  status_hash: string | null;
  status: string | null;
  spec: string;
  is_deleting: boolean;
}

const ROWS = `select id, name, source, version, observed_version, applied_version, status_version,
  status_sequence::text, status_hash, status::text, spec::text, deleted_at is not null as is_deleting
  from resources order by name`;
const RSS_MB_MAX = 400;

/** Everything that is wrong now, a line each. During a run it may be wrong only for a while. */
export async function findViolations(evidence: Evidence): Promise<string[]> {
  const { stage, model } = evidence;
  const rows = await query<Row>(stage.database.db, ROWS, []);
  const byName = new Map(rows.map((row) => [row.name, row]));
  const found: string[] = [];
  for (const wanted of model.resources.values()) checkRow(found, wanted, byName.get(wanted.name));
  for (const { name } of rows) {
    if (!model.resources.has(name)) found.push(`I5 ${name}: nobody asked for this row`);
  }
  for (const [index, agent] of stage.agents.entries()) {
    await checkCluster(found, { agent, index, byName, ...evidence });
  }
  await checkGraves(found, evidence);
  checkStatuses(found, rows, evidence.subscriber);
  await checkBounds(found, stage);
  return found;
}

function checkRow(found: string[], wanted: Wanted, row: Row | undefined): void {
  const { name, isAlive, tokens } = wanted;
  if (row === undefined) {
    if (isAlive === "yes") found.push(`I1 ${name}: it was accepted, and there is no row`);
    return;
  }
  if (isAlive === "no") {
    const state = row.is_deleting
      ? "its deletion is not confirmed"
      : "its row is not being deleted";
    found.push(`I2 ${name}: a deletion was accepted, and ${state}`);
    return;
  }
  if (row.is_deleting) {
    const what = isAlive === "yes" ? "I5 nobody deleted it, and" : "I2";
    found.push(`${what} ${name}: it is being deleted still`);
    return;
  }
  const token = tokenOf(row);
  if (!tokens.includes(token)) {
    found.push(`I1 ${name}: token ${token} is stored, and ${tokens.join(" or ")} was accepted`);
  }
  if (row.observed_version !== row.version || row.status_version !== row.version) {
    found.push(
      `I2 ${name}: version ${row.version} is stored, ${row.observed_version} is observed, and the ` +
        `status is of ${row.status_version}`,
    );
  } else if (row.applied_version !== row.version) {
    found.push(
      `I2 ${name}: version ${row.version} is observed, and ${row.applied_version} applied`,
    );
  }
}

interface ClusterEvidence extends Evidence {
  agent: AgentPlace;
  index: number;
  byName: Map<string, Row>;
}

async function checkCluster(found: string[], evidence: ClusterEvidence): Promise<void> {
  const { agent, index, byName, model, witness } = evidence;
  const objects = new Map(
    (await listConfigMaps(agent.cluster.kube())).map((one) => [one.name, one]),
  );
  for (const [place, uid] of witness.foreign) {
    const [consumer, name = ""] = place.split("/");
    if (consumer !== agent.consumerName) continue;
    const object = objects.get(name);
    if (object?.uid !== uid || object.token !== 0) {
      found.push(`I6 ${place}: a foreign object changed`);
    }
  }
  for (const row of byName.values()) {
    const wanted = model.resources.get(row.name);
    if (wanted?.agent !== index || row.is_deleting) continue;
    checkObjects(found, row, wanted, objects);
  }
  for (const { name } of objects.values()) {
    if (name.startsWith(FOREIGN_PREFIX)) continue;
    const place = resourceOf(name);
    const row = byName.get(place?.resource ?? "");
    const wanted = model.resources.get(place?.resource ?? "");
    const isOurs = row !== undefined && wanted?.agent === index;
    const count = row && wanted ? wanted.counts.get(tokenOf(row)) ?? 0 : 0;
    if (isOurs && (place?.index ?? 0) < count) continue;
    const what = isOurs ? "the stored version does not have it" : "it is no resource's any more";
    found.push(`I4 ${place?.resource}: ${name} exists on ${agent.consumerName}, and ${what}`);
  }
}

function checkObjects(found: string[], row: Row, wanted: Wanted, objects: Map<string, Seen>): void {
  const token = tokenOf(row);
  for (let at = 0; at < (wanted.counts.get(token) ?? 0); at++) {
    const object = objects.get(`${row.name}-${at}`);
    if (object === undefined) found.push(`I6 ${row.name}: object ${at} is not on its cluster`);
    else if (object.token !== token) {
      found.push(`I2 ${row.name}: object ${at} has token ${object.token}, not ${token}`);
    }
  }
  const noise = objects.get(`${row.name}-0`)?.noise;
  const told = toldNoise(row.status ?? "{}");
  if (wanted.source === "grpc" && told !== noise) {
    found.push(`I2 ${row.name}: its status tells "${told}", and its object says "${noise}"`);
  }
}

/** The feedback about the noise, in whatever manifest the status has it. */
function toldNoise(status: string): string | undefined {
  const document = JSON.parse(status) as {
    resourceStatus?: {
      statusFeedback?: { values?: { name: string; fieldValue: { string?: string } }[] };
    }[];
  };
  const values = (document.resourceStatus ?? []).flatMap((one) => one.statusFeedback?.values ?? []);
  return values.find(({ name }) => name === NOISE)?.fieldValue.string;
}

/** Every tombstone is of something that somebody asked to delete. */
async function checkGraves(found: string[], { stage, model }: Evidence): Promise<void> {
  const graves = await query<{ id: string }>(stage.database.db, "select id from tombstones", []);
  const all = [...model.resources.values()];
  for (const { id } of graves) {
    // An id that REST did not get to tell is of a call without an answer.
    const wanted = all.find((one) => one.id === id);
    if (wanted !== undefined && !wanted.wasDeleteAsked) {
      found.push(`I5 ${wanted.name}: it is gone, and nobody asked for it`);
    }
  }
}

/** A source that came back ends with what the database says. */
function checkStatuses(found: string[], rows: Row[], { held }: Subscriber): void {
  const living = new Set<string>();
  for (const row of rows.filter(({ source }) => source === SOURCE)) {
    living.add(row.id);
    const known = held.get(row.id);
    if (row.status === null) continue;
    // One that comes back is told what differs from its hashes, so of a report with nothing new it may not hear.
    const isTold = known?.sequence === row.status_sequence ||
      (known?.hash === row.status_hash && known.version === String(row.status_version));
    if (!isTold || known.isDeleted) {
      found.push(
        `I7 ${row.name}: the source holds ${
          JSON.stringify(known)
        }, and what is stored is of version ` +
          `${row.status_version}, sequence ${row.status_sequence}, hash ${row.status_hash}`,
      );
    }
  }
  for (const [id, known] of held) {
    if (!living.has(id) && !known.isDeleted) {
      found.push(`I7 ${id}: the source believes it alive, and it is gone`);
    }
  }
}

async function checkBounds(found: string[], { database, servers, agents }: Stage): Promise<void> {
  const [waiting] = await query<{ total: number }>(
    database.db,
    "select count(*)::int as total from events",
    [],
  );
  if (waiting?.total !== 0) found.push(`I10 outbox: ${waiting?.total} events wait in it`);
  for (const place of [...servers, ...agents]) {
    const pid = place.program()?.pid;
    if (place.deaths() > 0) found.push(`I10 ${place.name}: it died by itself`);
    if (pid === undefined) continue;
    const megabytes = Math.round(memoryOf(pid).now);
    if (megabytes > RSS_MB_MAX) found.push(`I10 ${place.name}: it holds ${megabytes} MB`);
  }
}

function tokenOf({ spec }: Row): number {
  const { manifests } = JSON.parse(spec) as { manifests?: { data?: { token?: string } }[] };
  return Number(manifests?.[0]?.data?.token ?? NaN);
}

/** Everything that is written anywhere: if it differs after a while, something was not quiet. */
export async function imprint({ database, agents }: Stage): Promise<string> {
  const [stored] = await query<{ text: string }>(
    database.db,
    `select concat_ws(' ',
      (select md5(string_agg(xmin::text || ' ' || resource::text, ',' order by id)) from resources resource),
      (select max(id) from changes), (select count(*) from events),
      (select md5(string_agg(xmin::text || id, ',' order by id)) from tombstones)) as text`,
    [],
  );
  const versions = [];
  for (const { cluster } of agents) {
    const type = await cluster.kube().resolve("v1", "ConfigMap");
    // The version of a list counts the changes to the whole cluster.
    if (type) versions.push((await cluster.kube().list(type, "")).resourceVersion);
  }
  return `database ${stored?.text} clusters ${versions.join(" ")}`;
}

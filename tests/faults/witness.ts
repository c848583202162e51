/** Looks at the database and the clusters while faults happen, and notes what must never be seen. */

import { query } from "../../src/lib/db/query.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { configMap, FOREIGN_PREFIX, readConfigMap, resourceOf, type Seen } from "./content.ts";
import type { AgentPlace, Stage } from "./stage.ts";

export interface Report {
  /** The report's attributes and its data, as they were stored. */
  event: string;
  status: string;
}

export interface Witness extends AsyncDisposable {
  violations: string[];
  /** Reports that were seen, by the name of the consumer. */
  reports: Map<string, Report[]>;
  /** What was seen of each resource, in words, by its name. */
  seen: Map<string, string[]>;
  /** The uids of what belongs to nobody, by consumer and name. */
  foreign: Map<string, string>;
  /** How often it looked. */
  looks: number;
}

interface Row {
  id: string;
  name: string;
  life: string;
  consumer_name: string;
  version: number;
  observed_version: number;
  status_version: number | null;
  status_sequence: string | null;
  status: string | null;
  status_event: string | null;
  is_deleting: boolean;
}

const ROWS = `select id, name, created_at::text as life, consumer_name, version, observed_version,
  status_version, status_sequence::text, status::text, status_event::text,
  deleted_at is not null as is_deleting from resources`;
const TOMBSTONES = "select id, confirmed_at::text from tombstones";
const DELETIONS = `select resource_id, consumer_name, status::text, status_event::text from changes
  where kind = 'deleted' and status_event is not null`;
const LOOK_MS = 150;
const FOREIGN_COUNT = 3;
const REPORTS_MAX = 500;

interface Looking {
  stage: Stage;
  witness: Witness;
  rows: Map<string, Row>;
}

/** Puts foreign objects on the clusters and starts to look; disposing ends it. */
export async function startWitness(stage: Stage): Promise<Witness> {
  let isOver = false;
  const stop = new AbortController();
  const witness: Witness = {
    violations: [],
    reports: new Map(),
    seen: new Map(),
    foreign: new Map(),
    looks: 0,
    async [Symbol.asyncDispose]() {
      isOver = true;
      stop.abort();
      await looking;
    },
  };
  for (const agent of stage.agents) {
    await placeForeign(witness, agent);
    void followTokens(witness, agent, stop.signal);
  }
  const state: Looking = { stage, witness, rows: new Map() };
  const look = async () => {
    while (!isOver) {
      // The database may be away; then there is nothing to see.
      await lookOnce(state).catch(() => {});
      await Bun.sleep(LOOK_MS);
    }
  };
  const looking = look();
  return witness;
}

/** Empties a cluster, and places the foreign objects anew. */
export async function wipeCluster(witness: Witness, agent: AgentPlace): Promise<void> {
  agent.cluster.wipe();
  await placeForeign(witness, agent);
}

async function lookOnce({ stage, witness, rows }: Looking): Promise<void> {
  const { db } = stage.database;
  const current = await query<Row>(db, ROWS, []);
  for (const row of current) {
    compare(witness, rows.get(row.id), row);
    rows.set(row.id, row);
  }
  for (const deletion of await query<Record<string, string>>(db, DELETIONS, [])) {
    const { consumer_name = "", status = "", status_event = "" } = deletion;
    remember(witness, consumer_name, { status, event: status_event });
  }
  await lookForTheRisen(stage, witness, rows);
  witness.looks++;
}

function compare(witness: Witness, before: Row | undefined, row: Row): void {
  const { name } = row;
  const words = `life ${row.life} version ${row.version} observed ${row.observed_version} ` +
    `status of ${row.status_version} sequence ${row.status_sequence} deleting ${row.is_deleting}`;
  const seen = witness.seen.get(name) ?? [];
  if (!seen.at(-1)?.endsWith(words)) seen.push(`${new Date().toISOString()} ${words}`);
  witness.seen.set(name, seen);
  if (row.status !== null && row.status_event !== null) {
    remember(witness, row.consumer_name, { status: row.status, event: row.status_event });
  }
  if (before === undefined) return;
  const falls = (what: string, was: number | string | null, is: number | string | null) => {
    if (was === null || (is !== null && BigInt(is) >= BigInt(was))) return;
    witness.violations.push(`I3 ${name}: its ${what} went from ${was} down to ${is}`);
  };
  falls("sequence", before.status_sequence, row.status_sequence);
  if (before.life !== row.life) return;
  falls("version", before.version, row.version);
  falls("status's version", before.status_version, row.status_version);
  if (before.is_deleting && !row.is_deleting) {
    witness.violations.push(`I4 ${name}: it was being deleted and is no more`);
  }
}

/** Nothing of what was confirmed as deleted may be on its cluster, unless it was created again meanwhile. */
async function lookForTheRisen(
  { database, agents }: Stage,
  witness: Witness,
  rows: Map<string, Row>,
): Promise<void> {
  const buried = await query<{ id: string; confirmed_at: string }>(database.db, TOMBSTONES, []);
  const names = new Map(buried.map((one) => [rows.get(one.id)?.name ?? one.id, one]));
  const risen: { name: string; object: string; id: string; confirmedAt: string }[] = [];
  for (const { cluster } of agents) {
    for (const { name } of await listConfigMaps(cluster.kube())) {
      const resource = resourceOf(name)?.resource ?? "";
      const grave = names.get(resource);
      if (grave === undefined) continue;
      risen.push({ name: resource, object: name, id: grave.id, confirmedAt: grave.confirmed_at });
    }
  }
  if (risen.length === 0) return;
  const still = await query<{ id: string; confirmed_at: string }>(database.db, TOMBSTONES, []);
  for (const { name, object, id, confirmedAt } of risen) {
    if (!still.some((one) => one.id === id && one.confirmed_at === confirmedAt)) continue;
    witness.violations.push(`I4 ${name}: ${object} exists though its deletion was confirmed`);
  }
}

/** Contents carry tokens that grow, so an older one after a newer one is an older version applied over it. */
async function followTokens(
  witness: Witness,
  agent: AgentPlace,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const kube = agent.cluster.kube();
    const type = await kube.resolve("v1", "ConfigMap");
    if (type === undefined) return;
    const last = new Map<string, number>();
    const life = new AbortController();
    const end = setInterval(() => {
      if (signal.aborted || agent.cluster.kube() !== kube) life.abort();
    }, 50);
    for await (const event of kube.watch(type, "", { resourceVersion: "0", signal: life.signal })) {
      const { name, token } = readConfigMap(event.object);
      const resource = resourceOf(name)?.resource;
      if (resource === undefined || event.type === "DELETED" || !(token > 0)) continue;
      const highest = last.get(name) ?? 0;
      if (token < highest) {
        witness.violations.push(
          `I3 ${resource}: on ${agent.consumerName} token ${token} replaced ${highest} in ${name}`,
        );
      }
      last.set(name, Math.max(token, highest));
    }
    clearInterval(end);
  }
}

function remember(witness: Witness, consumerName: string, report: Report): void {
  const known = witness.reports.get(consumerName) ?? [];
  witness.reports.set(consumerName, known);
  if (known.length >= REPORTS_MAX || known.some(({ event }) => event === report.event)) return;
  known.push(report);
}

async function placeForeign(witness: Witness, agent: AgentPlace): Promise<void> {
  const kube = agent.cluster.kube();
  const type = await kube.resolve("v1", "ConfigMap");
  if (type === undefined) return;
  for (let index = 0; index < FOREIGN_COUNT; index++) {
    const name = `${FOREIGN_PREFIX}${index}`;
    const ref = { type, namespace: "default", name };
    const object = await kube.create(ref, configMap(name, 0), { fieldManager: "somebody" });
    witness.foreign.set(`${agent.consumerName}/${name}`, readConfigMap(object).uid);
  }
}

/** The ConfigMaps of a cluster. */
export async function listConfigMaps(kube: Kube): Promise<Seen[]> {
  const type = await kube.resolve("v1", "ConfigMap");
  if (type === undefined) return [];
  return (await kube.list(type, "")).items.map(readConfigMap);
}

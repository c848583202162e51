/** A server's flows and agents on two sides of a broker, in this process. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { parseServerConfig } from "../../src/lib/config.ts";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { query } from "../../src/lib/db/query.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { Logger } from "../../src/lib/log.ts";
import { openMqttAgentBroker } from "../../src/lib/mqtt/agent_broker.ts";
import { parseMqttConfig } from "../../src/lib/mqtt/config.ts";
import type { NewResource } from "../../src/lib/spec/accept.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { startWorkAgent, type WorkAgent } from "../../src/lib/work/agent.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { type Flows, startFlows } from "../../src/server_flows.ts";
import { createDatabase, type TestDatabase, testLogger } from "../harness/postgres.ts";
import { newResource } from "../spec/specs.ts";

export interface Hub extends AsyncDisposable {
  database: TestDatabase;
  flows: Flows;
  /** Creates a consumer and returns its name. */
  consumer(): Promise<string>;
  /** Creates and stores a resource. */
  create(consumerName: string, parts?: Partial<NewResource>): Promise<NewResource>;
}

export interface HubOptions {
  /** A database that exists: another server on it, or the same again. */
  database?: TestDatabase;
  /** Lines of the broker's file beside its address and topics. */
  config?: string[];
  args?: string[];
  /** The name of the group of servers that share their agents' reports. */
  group?: string;
  log?: Logger;
}

/** The text of a broker's file. In a group of servers each report goes to one of them. */
export function brokerFile(
  port: number,
  { lines = [], group }: { lines?: string[] | undefined; group?: string | undefined } = {},
): string {
  const share = group === undefined ? "" : `$share/${group}/`;
  return [
    `brokerHost: 127.0.0.1:${port}`,
    ...lines,
    "topics:",
    "  sourceEvents: sources/maestro/consumers/+/sourceevents",
    `  agentEvents: ${share}sources/maestro/consumers/+/agentevents`,
    "",
  ].join("\n");
}

/** Starts the flows of a server on this broker; its doors stay closed. */
export async function openHub(port: number, options: HubOptions = {}): Promise<Hub> {
  await using stack = new AsyncDisposableStack();
  const database = options.database ?? stack.use(await createDatabase({ maxConnections: 8 }));
  const log = options.log ?? testLogger();
  const folder = mkdtempSync(join(tmpdir(), "maestro-mqtt-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(port, { lines: options.config, group: options.group }));
  const config = parseServerConfig([
    ...["--database-url", database.url, "--enable-jwt=false", "--grpc-authn-type=mock"],
    ...["--message-broker-type=mqtt", "--message-broker-config-file", file],
    ...["--client-id", `maestro-${crypto.randomUUID()}`, ...options.args ?? []],
  ], {});
  const authenticate = createAuthenticator({ log });
  const flows = await startFlows(stack, { db: database.db, config, log, authenticate });
  const owned = stack.move();
  return {
    database,
    flows,
    consumer: async () => (await createConsumer(database.db, {})).name,
    async create(consumerName, parts) {
      const resource = newResource(consumerName, parts);
      await flows.acceptor.create(resource);
      return resource;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts an agent of a consumer on this broker. Its cluster is made up, and stays if it is given again. */
export async function joinAgent(
  port: number,
  consumerName: string,
  { kube = createSimulatedKube(), config, log = testLogger(), dataTypes = [MANIFEST_BUNDLES] }: {
    kube?: Kube;
    config?: string[];
    log?: Logger;
    dataTypes?: string[];
  } = {},
): Promise<WorkAgent> {
  const broker = parseMqttConfig(brokerFile(port, { lines: config }));
  const agentId = `${consumerName}-work-agent`;
  return await startWorkAgent(
    kube,
    (events) =>
      openMqttAgentBroker(broker, events, { agentId, consumerName, tlsRefreshMs: 200, log }),
    log,
    {
      consumerName,
      agentId,
      agentVersion: "test (simulated)",
      dataTypes,
      statusSyncIntervalMs: 1_000,
      workers: 10,
      jsonRawBytesMax: 1024 * 1024,
      nowMs: Date.now,
    },
  );
}

export interface Known {
  version: number;
  observed_version: number;
  applied_version: number;
  attempts: number;
  status: string | null;
  status_event: string | null;
  deleted_at: string | null;
}

/** What the database knows of a resource; undefined if it is gone. */
export async function known(hub: Pick<Hub, "database">, id: string): Promise<Known | undefined> {
  const [row] = await query<Known>(
    hub.database.db,
    "select version, observed_version, applied_version, attempts, status::text, " +
      "status_event::text, deleted_at::text from resources where id = $1",
    [id],
  );
  return row;
}

/** How many resources there are, and of how many the agent has applied what is stored. */
export async function progress(
  { db }: Pick<TestDatabase, "db">,
): Promise<{ total: number; applied: number }> {
  const [row] = await query<{ total: number; applied: number }>(
    db,
    "select count(*)::int as total, count(*) filter " +
      "(where applied_version = version and observed_version = version " +
      "and status::text like '%\"Available\"%')::int as applied from resources",
    [],
  );
  return row ?? { total: 0, applied: 0 };
}

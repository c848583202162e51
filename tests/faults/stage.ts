/** Everything that a run consists of: real programs, and a proxy on each road between two of them. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../harness/eventually.ts";
import { dropNotifications } from "../harness/deafness.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import {
  type Program,
  sameDoors,
  type Server,
  startAgent,
  startServer,
} from "../harness/programs.ts";
import {
  openSimulatedCluster,
  type SimulatedCluster,
  writeKubeconfig,
} from "../harness/simulated_cluster.ts";
import { startTcpProxy, type TcpProxy } from "../harness/tcp_proxy.ts";
import { brokerFile } from "../mqtt/hub.ts";
import { type LateSpecs, recordSpecs } from "./late_specs.ts";
import { type Database, startDatabase } from "./database.ts";
import type { Topology } from "./plan.ts";
import { createSlot, type Slot } from "./slot.ts";

export interface ServerPlace extends Slot<Server> {
  databaseLink: TcpProxy;
  /** Between the server and an MQTT broker. */
  brokerLink: TcpProxy | undefined;
  /** Between sources and the server. */
  sourceLink: TcpProxy;
  /** While true its PostgreSQL's notifications do not reach it. */
  setHearing(state: { isDeaf: boolean }): void;
}

export interface AgentPlace extends Slot<Program> {
  consumerName: string;
  cluster: SimulatedCluster;
  clusterLink: TcpProxy;
  /** Between the agent and the servers, or the MQTT broker. */
  link: TcpProxy;
}

export interface Stage extends AsyncDisposable {
  topology: Topology;
  database: Database;
  broker: Mosquitto | undefined;
  /** With MQTT: what was sent to the agents. */
  lateSpecs: LateSpecs | undefined;
  servers: ServerPlace[];
  agents: AgentPlace[];
}

export interface StageOptions {
  folder: string;
  isFromSource: boolean;
}

/** Quicker to notice what is dead than the defaults, so that a run is short. */
const SERVER_ARGS = [
  ...["--heartbeat-check-interval", "1s", "--grpc-server-ping-interval", "2s"],
  ...["--grpc-server-ping-timeout", "2s", "--status-check-interval", "3s"],
  ...["--log-level", "debug", "--db-max-open-connections", "8"],
];
const MQTT_LINES = ["keepAlive: 3", "dialTimeout: 3s"];

/** Starts everything, and creates a consumer for each agent. */
export async function openStage(topology: Topology, options: StageOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  mkdirSync(options.folder, { recursive: true });
  const database = stack.use(await startDatabase(join(options.folder, "database")));
  const broker = topology.broker === "mqtt" ? stack.use(await startMosquitto()) : undefined;
  const lateSpecs = broker && stack.use(recordSpecs(broker.port));
  const around = { topology, database, broker, options };
  const servers = await Promise.all(
    Array.from({ length: topology.servers }, (_, index) => openServer(stack, around, index)),
  );
  const agents = await Promise.all(
    Array.from({ length: topology.agents }, (_, index) => openAgent(stack, around, servers, index)),
  );
  const rest = servers[0]?.program()?.rest ?? "";
  for (const { consumerName } of agents) {
    const body = JSON.stringify({ name: consumerName });
    // On a loaded machine a server may have to find its way to PostgreSQL first.
    await eventually(
      async () => {
        const answer = await fetch(`${rest}/api/maestro/v1/consumers`, { method: "POST", body });
        return `${answer.status} ${await answer.text()}`;
      },
      // It may be there although the answer was lost.
      (answer) => answer.startsWith("201") || answer.startsWith("409"),
      { timeoutMs: 30_000 },
    );
  }
  const owned = stack.move();
  return {
    topology,
    database,
    broker,
    lateSpecs,
    servers,
    agents,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Around {
  topology: Topology;
  database: Database;
  broker: Mosquitto | undefined;
  options: StageOptions;
}

async function openServer(
  stack: AsyncDisposableStack,
  { topology, database, broker, options }: Around,
  index: number,
): Promise<ServerPlace> {
  let isDeaf = false;
  const filterDown = () => dropNotifications(() => isDeaf);
  const databaseLink = stack.use(await startTcpProxy(database.socket, { filterDown }));
  const brokerLink = broker && stack.use(await startTcpProxy(broker.port));
  const args = [...SERVER_ARGS];
  if (brokerLink !== undefined) {
    const file = join(options.folder, `server-${index}.yaml`);
    const group = topology.reports === "shared" ? "maestro" : undefined;
    writeFileSync(file, brokerFile(brokerLink.port, { lines: MQTT_LINES, group }));
    args.push("--message-broker-type=mqtt", "--message-broker-config-file", file);
    args.push("--client-id", `server-${index}`);
  }
  const databaseUrl = `postgres://maestro@127.0.0.1:${databaseLink.port}/maestro?sslmode=disable`;
  const { isFromSource } = options;
  const slot = stack.use(createSlot<Server>(
    `server-${index}`,
    (last) =>
      startServer({
        databaseUrl,
        isFromSource,
        args: [...args, ...(last === undefined ? [] : sameDoors(last))],
      }),
  ));
  await slot.start();
  const sourceLink = stack.use(await startTcpProxy(slot.program()?.sources ?? 0));
  const setHearing = (state: { isDeaf: boolean }) => void (isDeaf = state.isDeaf);
  return { ...slot, databaseLink, brokerLink, sourceLink, setHearing };
}

async function openAgent(
  stack: AsyncDisposableStack,
  { topology, broker, options }: Around,
  servers: readonly ServerPlace[],
  index: number,
): Promise<AgentPlace> {
  const consumerName = `cluster-${index}`;
  const cluster = stack.use(openSimulatedCluster());
  const clusterLink = stack.use(await startTcpProxy(cluster.port));
  const ports = servers.map((server) => server.program()?.agents ?? 0);
  // Each agent begins with another server.
  const turned = ports.map((_, at) => ports[(at + index) % ports.length] ?? 0);
  const link = stack.use(await startTcpProxy(broker?.port ?? turned));
  const kubeconfig = join(options.folder, `${consumerName}.kubeconfig`);
  writeKubeconfig(kubeconfig, clusterLink.port);
  const file = join(options.folder, `${consumerName}.yaml`);
  writeFileSync(
    file,
    broker === undefined
      ? `url: 127.0.0.1:${link.port}\nserverHealthinessTimeout: 3s\n`
      : brokerFile(link.port, { lines: MQTT_LINES }),
  );
  const slot = stack.use(createSlot(consumerName, () =>
    startAgent({
      kubeconfig,
      consumerName,
      isFromSource: options.isFromSource,
      args: ["--workload-source-driver", topology.broker, "--workload-source-config", file],
    })));
  // It starts when it can; the consumer need not be there yet.
  await slot.start();
  return { ...slot, consumerName, cluster, clusterLink, link };
}

/** Waits until each agent says that it is in touch with its server. */
export async function untilConnected(stage: Stage): Promise<void> {
  await eventually(
    () => stage.agents.every((agent) => agent.log().includes('"connected"')),
    Boolean,
    { timeoutMs: 30_000 },
  );
}

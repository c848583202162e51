/** Carries out the faults of a plan, and mends them. */

import { query } from "../../src/lib/db/query.ts";
import { isObject } from "../../src/lib/json.ts";
import { decodeStructured } from "../../src/lib/wire/structured.ts";
import { publish } from "../harness/grpc.ts";
import type { TcpProxy } from "../harness/tcp_proxy.ts";
import { openPublisher } from "../mqtt/publisher.ts";
import { configMap, NOISE, readConfigMap, resourceOf } from "./content.ts";
import type { Dice } from "./dice.ts";
import type { Fault, LinkFault, Plan } from "./plan.ts";
import type { AgentPlace, ServerPlace, Stage } from "./stage.ts";
import { wipeCluster, type Witness } from "./witness.ts";

interface Around {
  stage: Stage;
  witness: Witness;
  dice: Dice;
  /** Notes a line in the timeline of the run. */
  say: (line: string) => void;
}

const DELAY_MS = 400;
const NARROW_BYTES_PER_SECOND = 20_000;
const LATE_REPORTS_MAX = 20;
const DRIFTS_MAX = 5;

/** Injects every fault at its time; resolves when all of them are over. */
export async function injectFaults(plan: Plan, around: Around): Promise<void> {
  const startedAt = performance.now();
  const running: Promise<void>[] = [];
  for (const fault of plan.faults) {
    await Bun.sleep(Math.max(0, startedAt + fault.atMs - performance.now()));
    around.say(`${fault.kind} on ${fault.target} for ${fault.forMs} ms`);
    running.push(
      inject(fault, around).catch((error) =>
        around.say(`${fault.kind} on ${fault.target} could not be carried out: ${error}`)
      ),
    );
  }
  await Promise.all(running);
}

/** Takes every fault of a link or a place away, and starts what does not run. */
export async function healAll({ servers, agents }: Stage): Promise<void> {
  for (const server of servers) {
    server.setHearing({ isDeaf: false });
    for (const link of [server.databaseLink, server.brokerLink, server.sourceLink]) link?.heal();
  }
  for (const agent of agents) {
    agent.link.heal();
    agent.clusterLink.heal();
  }
  await Promise.all([...servers, ...agents].map((place) => place.start()));
}

async function inject(fault: Fault, around: Around): Promise<void> {
  const { stage } = around;
  const [road = "", linkFault] = fault.kind.split(".") as [string, LinkFault | undefined];
  if (linkFault !== undefined) {
    const link = linkOf(stage, road, fault.target);
    if (link !== undefined) await disturb(link, linkFault, fault.forMs);
    return;
  }
  const [part] = fault.kind.split("_");
  if (part === "server" || part === "notifications") return await hitServer(fault, around);
  if (part === "agent") return await hitAgent(fault, around);
  if (part === "database") return await hitDatabase(fault, around);
  if (fault.kind === "broker_kill") {
    await stage.broker?.kill("SIGKILL");
    await Bun.sleep(fault.forMs);
    await stage.broker?.start();
    return;
  }
  const agent = stage.agents[fault.target];
  if (agent === undefined) return;
  if (fault.kind === "cluster_wiped") await reinstall(agent, fault.forMs, around);
  if (fault.kind === "late_reports") await repeatReports(agent, around);
  if (fault.kind === "late_specs") {
    await stage.lateSpecs?.repeat(agent.consumerName, around.dice);
  }
  if (fault.kind === "drift") await drift(agent, around);
}

function linkOf(stage: Stage, road: string, target: number): TcpProxy | undefined {
  const [server, agent] = [stage.servers[target], stage.agents[target]];
  const links: Record<string, TcpProxy | undefined> = {
    agent_link: agent?.link,
    cluster_link: agent?.clusterLink,
    source_link: server?.sourceLink,
    database_link: server?.databaseLink,
    server_broker_link: server?.brokerLink,
  };
  return links[road];
}

async function disturb(link: TcpProxy, fault: LinkFault, forMs: number): Promise<void> {
  if (fault === "cut") return link.cut();
  if (fault === "refuse") {
    link.refuse();
    link.cut();
  } else if (fault === "freeze") link.freeze();
  else if (fault === "mute_up") link.mute("up");
  else if (fault === "mute_down") link.mute("down");
  else {
    const pace = fault === "delay"
      ? { delayMs: DELAY_MS }
      : { bytesPerSecond: NARROW_BYTES_PER_SECOND };
    for (const direction of ["up", "down"] as const) link.slow(direction, pace);
  }
  await Bun.sleep(forMs);
  link.heal();
}

async function hitServer({ kind, target, forMs }: Fault, { stage }: Around): Promise<void> {
  const server: ServerPlace | undefined = stage.servers[target];
  if (server === undefined) return;
  if (kind === "notifications_lost") {
    server.setHearing({ isDeaf: true });
    await Bun.sleep(forMs);
    return server.setHearing({ isDeaf: false });
  }
  await server.kill(kind === "server_kill" ? "SIGKILL" : "SIGTERM");
  await Bun.sleep(forMs);
  await server.start();
}

async function hitAgent({ kind, target, forMs }: Fault, { stage }: Around): Promise<void> {
  const agent = stage.agents[target];
  if (agent === undefined) return;
  if (kind === "agent_pause") {
    const program = agent.program();
    if (program === undefined) return;
    process.kill(program.pid, "SIGSTOP");
    await Bun.sleep(forMs);
    // Whoever was told to end meanwhile can only do so now.
    if (program.isRunning()) process.kill(program.pid, "SIGCONT");
    return;
  }
  await agent.kill(kind === "agent_kill" ? "SIGKILL" : "SIGTERM");
  await Bun.sleep(forMs);
  await agent.start();
}

async function hitDatabase({ kind, forMs }: Fault, { stage: { database } }: Around): Promise<void> {
  if (kind === "database_kill") return await database.crash(forMs);
  if (kind === "database_pause") return await database.pause(forMs);
  await query(
    database.db,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name <> 'checker' " +
      "and pid <> pg_backend_pid() and datname = current_database()",
    [],
  );
}

/** The agent's cluster loses its disk: what is there later has all been applied again. */
async function reinstall(agent: AgentPlace, forMs: number, { witness }: Around): Promise<void> {
  await agent.kill("SIGKILL");
  await wipeCluster(witness, agent);
  await Bun.sleep(forMs);
  await agent.start();
}

/** Reports that came earlier come again, those of earlier lives too. */
async function repeatReports(agent: AgentPlace, { stage, witness, dice }: Around): Promise<void> {
  const reports = witness.reports.get(agent.consumerName) ?? [];
  if (reports.length === 0) return;
  const chosen = Array.from({ length: LATE_REPORTS_MAX }, () => dice.pick(reports));
  if (stage.broker === undefined) {
    const port = dice.pick(stage.servers).program()?.agents;
    for (const { event, status } of chosen) {
      // A refusal is fine: nobody waits for this.
      await publish(`127.0.0.1:${port}`, { ...decodeStructured(event), data: status }, {
        timeoutMs: 2_000,
      })
        .catch(() => {});
    }
    return;
  }
  await using publisher = await openPublisher(stage.broker.port, agent.consumerName);
  for (const { event, status } of chosen) {
    await Promise.race([
      publisher.publish({ ...decodeStructured(event), data: status }),
      Bun.sleep(2_000),
    ]);
  }
}

/** Somebody else changes, deletes or annotates objects on the cluster. */
async function drift({ cluster }: AgentPlace, { dice }: Around): Promise<void> {
  const kube = cluster.kube();
  const type = await kube.resolve("v1", "ConfigMap");
  if (type === undefined) return;
  const { items } = await kube.list(type, "default");
  const managed = items.filter((item) => resourceOf(readConfigMap(item).name) !== undefined);
  for (let count = 0; count < DRIFTS_MAX && managed.length > 0; count++) {
    const { name, uid } = readConfigMap(dice.pick(managed));
    const ref = { type, namespace: "default", name };
    const luck = dice.next();
    const live = await kube.get(ref);
    if (!isObject(live)) continue;
    const by = { fieldManager: "somebody", type: "merge" as const };
    if (luck < 0.3) {
      await kube.delete(ref, { uid, propagationPolicy: "Background" }).catch(() => false);
    } else if (luck < 0.6) await kube.patch(ref, { data: configMap(name, -1)["data"] ?? {} }, by);
    else await kube.patch(ref, { metadata: { annotations: { [NOISE]: `${dice.next()}` } } }, by);
  }
}

/** What a seed decides before anything starts: the topology, and when which fault hits whom. */

import { type Dice, rollDice } from "./dice.ts";

export interface Topology {
  broker: "grpc" | "mqtt";
  /** How the servers share their agents' reports, with MQTT. */
  reports: "shared" | "broadcast";
  servers: number;
  agents: number;
}

/** One fault; `target` is the number of the server, agent or link that it hits. */
export interface Fault {
  atMs: number;
  forMs: number;
  kind: FaultKind;
  target: number;
}

export interface Plan {
  seed: number;
  topology: Topology;
  lengthMs: number;
  faults: Fault[];
}

const LINK_FAULTS = ["cut", "refuse", "freeze", "mute_up", "mute_down", "delay", "narrow"] as const;
/** Between agents and their servers or broker, sources and servers, servers and PostgreSQL, agents and clusters. */
const LINKS = ["agent_link", "source_link", "database_link", "cluster_link"] as const;
const PROGRAM_FAULTS = [
  "server_kill",
  "server_stop",
  "agent_kill",
  "agent_stop",
  "agent_pause",
  "database_kill",
  "database_pause",
  "database_sessions",
  "notifications_lost",
  "cluster_wiped",
  "late_reports",
  "drift",
] as const;
const MQTT_FAULTS = [
  "late_specs",
  "broker_kill",
  "server_broker_link.cut",
  "server_broker_link.freeze",
] as const;

export type LinkFault = typeof LINK_FAULTS[number];
export type FaultKind =
  | typeof PROGRAM_FAULTS[number]
  | typeof MQTT_FAULTS[number]
  | `${typeof LINKS[number]}.${LinkFault}`;

/** A fault about so often, and each lasts at most so long. */
const PAUSE_MS = 600;
const FAULT_MS_MAX = 4_000;

/** Makes the plan of a seed. */
export function makePlan(seed: number, lengthMs: number): Plan {
  const dice = rollDice(seed);
  const topology: Topology = {
    broker: dice.happens(0.55) ? "grpc" : "mqtt",
    reports: dice.happens(0.7) ? "shared" : "broadcast",
    servers: dice.between(1, 3),
    agents: dice.between(2, 6),
  };
  const faults: Fault[] = [];
  const kinds = faultKinds(topology);
  for (let atMs = dice.between(300, 1_500); atMs < lengthMs;) {
    const kind = dice.pick(kinds);
    faults.push({
      atMs,
      forMs: dice.between(100, FAULT_MS_MAX),
      kind,
      target: chooseTarget(dice, kind, topology),
    });
    atMs += dice.between(50, 2 * PAUSE_MS);
  }
  return { seed, topology, lengthMs, faults };
}

function faultKinds({ broker }: Topology): FaultKind[] {
  const programs = PROGRAM_FAULTS.flatMap((kind) =>
    kind === "cluster_wiped" ? [kind] : [kind, kind]
  );
  const links = LINKS.flatMap((link) => LINK_FAULTS.map((fault) => `${link}.${fault}` as const));
  if (broker !== "mqtt") return [...programs, ...links];
  return [...programs, ...links, ...MQTT_FAULTS, ...MQTT_FAULTS, "late_specs", "late_specs"];
}

function chooseTarget(dice: Dice, kind: FaultKind, { servers, agents }: Topology): number {
  const count = /^(agent|cluster|late|drift)/.test(kind) ? agents : servers;
  return dice.between(0, count - 1);
}

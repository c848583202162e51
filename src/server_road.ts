/** The server's way to its agents: its own gRPC broker, or an MQTT broker, as the flags say. */

import { hostname } from "node:os";
import { createPulse } from "./lib/consumer/pulse.ts";
import { createClock } from "./lib/db/clock.ts";
import { type AgentDoor, createAgentDoor } from "./lib/grpc/agents.ts";
import { heartbeatMs } from "./lib/grpc_config.ts";
import { pause } from "./lib/pause.ts";
import { startPump } from "./lib/pump.ts";
import type { Publish, Ready } from "./lib/spec/publish.ts";
import { createReportAcceptor } from "./lib/status/accept.ts";
import { checkStatuses, NAMES_MAX } from "./lib/status/check.ts";
import type { Send } from "./lib/status/pipeline.ts";
import { noteRefusal } from "./lib/status/refuse.ts";
import { createRoll } from "./lib/status/roll.ts";
import { createResyncAnswer } from "./server_resync.ts";
import type { FlowParts } from "./server_flows.ts";

/** Go servers send no larger questions. */
const QUESTION_BYTES_MAX = 512 * 1024;

/** What the clients of agents take in one message: ours, and gRPC's in Go unless told otherwise. */
const OUR_EVENT_BYTES_MAX = 64 * 1024 * 1024;
const GO_EVENT_BYTES_MAX = 4 * 1024 * 1024;

export interface Road {
  /** The door to serve; undefined if agents are reached by MQTT. */
  agents: AgentDoor | undefined;
  publish: Publish;
  /** Who can be sent to now. */
  ready: () => Ready;
  /** True if this server may reach the consumer. */
  isConnected: (consumerName: string) => boolean;
  /** Why agents cannot be reached; undefined if they can. */
  readiness: () => string | undefined;
}

/** How long a round of the check waits for one agent. */
const PATIENCE_MS = 5_000;
/** How often it is looked for pulses to write; each is written once a minute. */
const PULSE_MS = 1_000;

interface RoadOptions {
  /** Called when these consumers, or those that wait, can take more. */
  wake: (consumerNames: string[]) => void;
  /** Called when reports have been stored. */
  reported: () => void;
}

/** Opens the road. */
export async function openRoad(
  stack: AsyncDisposableStack,
  parts: FlowParts,
  called: RoadOptions,
): Promise<Road> {
  if (parts.config["message-broker-type"] === "mqtt") return await openMqtt(stack, parts, called);
  const { wake, reported } = called;
  const { db, config, log } = parts;
  const sourceId = config["source-id"];
  const pulse = createPulse(db, () => performance.now());
  const roll = createRoll(() => performance.now());
  const agents = createAgentDoor({
    acceptReport: createReportAcceptor(db, log, reported),
    answerResync: (...asked) => answerResync(...asked),
    now: createClock(db),
    heard(consumerName, agentVersion) {
      pulse.heard(consumerName, agentVersion);
      if (agents.isConnected(consumerName)) {
        roll.heard(consumerName, { isOurs: agentVersion !== undefined });
      }
    },
    wake: (consumerName) => wake([consumerName]),
    limit: {
      bytesMax: (consumerName) =>
        Math.min(
          config["grpc-max-send-message-size"],
          roll.knowsDigests(consumerName) ? OUR_EVENT_BYTES_MAX : GO_EVENT_BYTES_MAX,
        ),
      refuse: (event, reason) => void noteRefusal(db, log, event, { reason, sourceId }),
    },
    sourceId,
    heartbeatMs: heartbeatMs(config),
    log,
  });
  // Pings end the streams of those that are gone without a word.
  const beat = () => pulse.write(agents.connected());
  stack.use(startPump(beat, { name: "pulse", intervalMs: PULSE_MS, log }));
  const sendTo: Send = async (consumerName, event) =>
    await agents.deliver(consumerName, event) ? "received" : "disconnected";
  const checkTo: Send = async (consumerName, event) =>
    await withPatience(agents.deliver(consumerName, event)) ? "received" : "disconnected";
  const answerResync = createResyncAnswer(db, sendTo, log, {
    ...{ sourceId, questionBytesMax: QUESTION_BYTES_MAX },
  });
  const intervalMs = config["status-check-interval"];
  const stop = new AbortController();
  const { signal } = stop;
  const options = { sourceId, bytesMax: QUESTION_BYTES_MAX, roll, isProbing: false, signal };
  stack.use(startPump(
    // Who is slow has enough on its way, and is told the next time.
    () => checkStatuses(db, checkTo, inPages([...agents.ready().keys()]), options),
    { name: "status-check", intervalMs, log },
  ));
  // Before the check ends, which may rest.
  stack.defer(() => stop.abort());
  const { isConnected, publish, ready } = agents;
  return {
    agents,
    publish,
    ready,
    isConnected,
    readiness: () => undefined,
  };
}

/** An agent may stop to read and stay connected: the others are not to wait for it. */
async function withPatience(delivered: Promise<boolean>): Promise<boolean> {
  const patience = new AbortController();
  const late = pause(PATIENCE_MS, patience.signal).then(() => undefined);
  try {
    return await Promise.race([delivered, late]) === true;
  } finally {
    patience.abort();
  }
}

/** A page is one statement. */
async function* inPages(names: string[]): AsyncGenerator<string[]> {
  for (let from = 0; from < names.length; from += NAMES_MAX) {
    yield names.slice(from, from + NAMES_MAX);
  }
}

async function openMqtt(
  stack: AsyncDisposableStack,
  { db, config, log }: FlowParts,
  { wake, reported }: RoadOptions,
): Promise<Road> {
  // Imported late: the first run needs no MQTT.
  const { readMqttConfig } = await import("./lib/mqtt/config.ts");
  const { openMqttAgentDoor } = await import("./lib/mqtt/agents.ts");
  const broker = await readMqttConfig(config["message-broker-config-file"]);
  const pulse = createPulse(db, () => performance.now());
  const { publish, readiness, ready } = stack.use(openMqttAgentDoor(db, broker, {
    clientId: config["client-id"] ?? `maestro-${hostname()}`,
    sourceId: config["source-id"],
    tlsRefreshMs: config["certificate-refresh-interval"],
    checkIntervalMs: config["status-check-interval"],
    heard: pulse.heard,
    reported,
    wake,
    log,
  }));
  stack.use(startPump(() => pulse.write(), { name: "pulse", intervalMs: PULSE_MS, log }));
  return { agents: undefined, publish, ready, isConnected: () => true, readiness };
}

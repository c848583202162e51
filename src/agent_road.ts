/** The agent's way to its server: gRPC or MQTT, as the flags say. */

import type { AgentConfig } from "./lib/agent_config.ts";
import type { Logger } from "./lib/log.ts";
import type { Broker, BrokerEvents } from "./lib/work/broker.ts";

/** Connects one agent. */
export type Connect = (
  events: BrokerEvents,
  agent: { agentId: string; consumerName: string; dataTypes: readonly string[]; log: Logger },
) => Broker;

/** Reads where the server is. Throws `invalid_argument` with one line about a mistake in its file. */
export async function chooseRoad(config: AgentConfig): Promise<Connect> {
  // Imported late: whoever only asks for help does not wait for gRPC, and with MQTT nobody does.
  const file = config["workload-source-config"];
  const tlsRefreshMs = config["certificate-refresh-interval"];
  if (config["workload-source-driver"] === "mqtt") {
    const { readMqttConfig } = await import("./lib/mqtt/config.ts");
    const { openMqttAgentBroker } = await import("./lib/mqtt/agent_broker.ts");
    const broker = await readMqttConfig(file ?? "");
    return (events, agent) => openMqttAgentBroker(broker, events, { ...agent, tlsRefreshMs });
  }
  const { plainBrokerConfig, readBrokerConfig, serverEnd } = await import(
    "./lib/grpc/agent_broker_config.ts"
  );
  const { chooseProxy } = await import("./lib/grpc/proxy.ts");
  const { openAgentBroker } = await import("./lib/grpc/agent_broker.ts");
  const broker = file === undefined
    ? plainBrokerConfig(config.server ?? "")
    : await readBrokerConfig(file);
  const { host, port } = serverEnd(broker.url);
  const proxy = chooseProxy(host, port, Bun.env);
  const reached = proxy === undefined ? broker : { ...broker, proxy };
  return (events, agent) => openAgentBroker(reached, events, { ...agent, tlsRefreshMs });
}

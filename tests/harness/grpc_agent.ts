/** Our agent behind our server's gRPC door, in this process, on a cluster that is made up. */

import { openAgentBroker } from "../../src/lib/grpc/agent_broker.ts";
import { plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { Logger } from "../../src/lib/log.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { startWorkAgent, type WorkAgent } from "../../src/lib/work/agent.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { testLogger } from "./postgres.ts";

/** Starts an agent of a consumer. Its cluster stays if it is given again. */
export async function joinGrpcAgent(
  address: string,
  consumerName: string,
  { kube = createSimulatedKube(), log = testLogger() }: { kube?: Kube; log?: Logger } = {},
): Promise<WorkAgent> {
  const dataTypes = [MANIFEST_BUNDLES];
  const config = plainBrokerConfig(address);
  const options = { consumerName, dataTypes, tlsRefreshMs: 60_000, log };
  return await startWorkAgent(
    kube,
    (events) => openAgentBroker(config, events, options),
    log,
    {
      ...{ consumerName, dataTypes, agentId: `${consumerName}-work-agent` },
      ...{ agentVersion: "test (simulated)", statusSyncIntervalMs: 1_000, workers: 10 },
      ...{ jsonRawBytesMax: 1024 * 1024, nowMs: Date.now },
    },
  );
}

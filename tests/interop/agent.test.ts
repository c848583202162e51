/** Our agent and official sources, with no server of ours between. */

import { agentOnKubernetesOver, agentOver } from "./our_agent.ts";
import { testPeers } from "./peer.ts";

testPeers(agentOver, {
  TestOurAgentRoad: [
    "A86, A118: our agent applies, changes and deletes for an official source",
    "grpc",
    "mqtt",
  ],
  TestOurAgentRoadOldSource: [
    "our agent serves a source on the libraries' older transport alike",
    "mqtt",
  ],
  TestController: [
    "A87: a controller with the official work client owns works at our agent",
    "mqtt",
  ],
  TestOurAgentIntegers: ["our agent keeps integers above 2^53, down and up", "grpc", "mqtt"],
  TestOurAgentAway: [
    "our agent that was away learns what changed, what was deleted and what is gone",
    "grpc",
    "mqtt",
  ],
  TestSourceRestarted: ["our agent answers a source that asks for every status", "mqtt"],
  TestOurAgentHeartbeats: [
    "A93: our agent notices a dead connection by the heartbeats it lacks",
    "grpc",
  ],
});

testPeers(agentOnKubernetesOver, {
  TestOurAgentRoad: ["our agent does so on a real cluster, too", "grpc", "mqtt"],
});

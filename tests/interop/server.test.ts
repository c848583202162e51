/** Our server and the official clients of both its sides. */

import { serveOver, serveSecurelyOver } from "./our_server.ts";
import { testPeers } from "./peer.ts";

testPeers(serveOver, {
  TestRoad: [
    "A118: a work goes from an official source to an official agent and back, until it is gone",
    "grpc",
    "mqtt",
  ],
  TestRoadOldSource: ["a source on the libraries' older transport is served alike", "grpc"],
  TestRoadOldAgent: ["an agent on the libraries' older transport is served alike", "grpc", "mqtt"],
  TestStaleUpdate: ["a stale update is refused with the words that clients look for", "grpc"],
  TestBigIntegers: ["integers above 2^53 stay what they are, down and up", "grpc", "mqtt"],
  TestAgentAway: [
    "an official agent that was away gets what changed, and what was deleted",
    "grpc",
    "mqtt",
  ],
  TestSourceAway: [
    "an official source that was away hears what changed, and what was deleted",
    "grpc",
    "mqtt",
  ],
  TestRestart: ["nothing is lost when the server is restarted under load", "grpc", "mqtt"],
  TestStatusLost: ["a status that the broker lost is asked for again", "mqtt"],
  TestBigStatus: ["a status of nearly 4 MiB reaches an official source", "grpc", "mqtt"],
  TestTooBigStatus: [
    "a status that does not fit a message together with its spec holds up no other",
    "grpc",
    "mqtt",
  ],
  TestFrozen: ["clients notice a frozen server by its heartbeats, and come back", "grpc"],
});

testPeers(serveSecurelyOver, {
  TestRotation: [
    "A94: certificates are replaced at every end, and nothing is lost",
    "grpc",
    "mqtt",
  ],
});

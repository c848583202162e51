/** The agent's flags. */

import { expect, test } from "bun:test";
import { consumerNames, parseAgentConfig } from "../../src/lib/agent_config.ts";

const REQUIRED = ["--consumer-name", "c1", "--server", "127.0.0.1:8091"];

test.each([
  ["--consumer-name is required", ["--server", "a:1"]],
  ["give either --workload-source-config or --server", ["--consumer-name", "c1"]],
  [
    "give either --workload-source-config or --server",
    [...REQUIRED, "--workload-source-config", "x"],
  ],
  ['expected "grpc" or "mqtt", the drivers', [...REQUIRED, "--workload-source-driver=kube"]],
  ["mqtt needs --workload-source-config", [...REQUIRED, "--workload-source-driver=mqtt"]],
  ['Unknown argument "now"', [...REQUIRED, "now"]],
  ["expected a whole number from 1", [...REQUIRED, "--workload-agent-workers=0"]],
  ["expected an address such as", [...REQUIRED, "--listen=8084"]],
])("bad flags are refused: %s", (message, args) => {
  expect(() => parseAgentConfig(args, {})).toThrow(message);
});

test("what scripts give to the Go agent is understood", () => {
  const config = parseAgentConfig([
    "--consumer-name=c1",
    "--workload-source-driver=grpc",
    "--workload-source-config=/secrets/config.yaml",
    "--cloudevents-client-id=c1-work-agent",
    "--appliedmanifestwork-eviction-grace-period=30s",
    "--disable-leader-election=true",
    "--status-sync-interval=60s",
    "-v=2",
  ], {});

  expect(config["status-sync-interval"]).toBe(60_000);
  expect(config["cloudevents-client-id"]).toBe("c1-work-agent");
});

test("several simulated consumers are numbered, one keeps its name", () => {
  expect(consumerNames(parseAgentConfig([...REQUIRED, "--simulate=1"], {}))).toEqual(["c1"]);
  expect(consumerNames(parseAgentConfig([...REQUIRED, "--simulate=3"], {}))).toEqual([
    "c1-1",
    "c1-2",
    "c1-3",
  ]);
});

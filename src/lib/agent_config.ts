/** The agent's settings, as flags and environment give them. */

import { CERTIFICATE_FLAGS, withPeersNames } from "./certificate_config.ts";
import { MaestroError } from "./errors.ts";
import {
  boolean,
  choice,
  duration,
  expected,
  type Flag,
  type FlagTable,
  type FlagValues,
  integer,
  list,
  optionalText,
  parseFlags,
  positive,
  text,
} from "./flags.ts";
import { KLOG_FLAGS, optionalLevel, withDashes } from "./klog_flags.ts";

const COUNT_MAX = 1_000_000;

/** Where to answer probes. */
export interface Listen {
  hostname: string;
  port: number;
}

/** Every flag of the agent. Those of the Go agent keep their names and defaults where they still mean something. */
export const AGENT_FLAGS = {
  "consumer-name": text("name", "", "the cluster's name at the server; required"),
  "server": optionalText("host:port", "the server's gRPC broker, instead of a config file"),
  "workload-source-driver": driver(),
  "workload-source-config": optionalText(
    "file",
    "where the server is: YAML or JSON with url, … for grpc, brokerHost, topics, … for mqtt",
  ),
  ...CERTIFICATE_FLAGS,
  "cloudevents-client-id": optionalText(
    "id",
    "who the agent says it is (default <consumer-name>-work-agent)",
  ),
  "hub-name": optionalText(
    "name",
    "the server's name in AppliedManifestWorks (default its address, as with the Go agent): " +
      "give the old address when it changes",
  ),
  "agent-id": optionalText(
    "id",
    "whose AppliedManifestWorks the agent goes on with (default the hash of the hub's name)",
  ),
  "legacy-manifests": boolean("off", "also receive single manifests from servers before 2025-03"),
  "kubeconfig": optionalText("file", "the cluster; without it KUBECONFIG, or the pod's account"),
  "simulate": integer(
    "count",
    0,
    { min: 0, max: 10_000 },
    "serve this many made-up clusters in memory instead of a real one",
  ),
  "status-sync-interval": duration("10s", "pause between polls where watching is forbidden"),
  "kube-api-qps": integer("count", 50, { min: 1, max: COUNT_MAX }, "calls a second to Kubernetes"),
  "kube-api-burst": integer("count", 100, { min: 1, max: COUNT_MAX }, "calls at once above that"),
  "workload-agent-workers": integer(
    "count",
    10,
    { min: 1, max: 1000 },
    "works that are applied at once",
  ),
  "max-json-raw-length": integer(
    "bytes",
    1024 * 1024,
    { min: 1, max: 16 * 1024 * 1024 },
    "the longest JSON value that feedback may hold",
  ),
  "listen": listen(
    "address of /healthz, /livez, /readyz and /metrics (default 0.0.0.0:8443 in a pod, else " +
      "127.0.0.1:8443); port 0 for any",
  ),
  "tls-cert-file": optionalText(
    "file",
    "certificate of that door (default /var/run/secrets/serving-cert/tls.crt, else self-signed)",
  ),
  "tls-private-key-file": optionalText("file", "its key"),
  "plain-http": boolean("off", "answer there without TLS"),
  "disable-leader-election": boolean(
    "on",
    "work without an election; a second agent of the consumer stands by all the same",
  ),
  "leader-election-lease-duration": positive(
    duration("137s", "for how long others leave the lease of a silent leader alone"),
  ),
  "leader-election-renew-deadline": positive(
    duration("107s", "a leader that could not renew its lease for so long ends"),
  ),
  "leader-election-retry-period": positive(
    duration("26s", "pause between two attempts to get the lease or to renew it"),
  ),
  "leader-election-resource-name": text("name", "maestro-agent-lock", "the lease"),
  "namespace": optionalText(
    "name",
    "where the lease is (default the pod's, or the kubeconfig's)",
  ),
  "log-level": optionalLevel("the least important log line that is written (default info)"),
  "terminate-on-files": list("files", "end when one of these files changes, to be started again"),
  // Flags of the Go agent that scripts and charts pass, and that change nothing here.
  "appliedmanifestwork-eviction-grace-period": optionalText(
    "duration",
    "without effect: lost contact never removes anything",
  ),
  "cloudevents-client-codecs": optionalText("list", "without effect, as in the Go agent"),
  "max-feedback-watch": optionalText("count", "without effect: everything is watched"),
  "config": optionalText("file", "without effect: see --listen and the --tls flags"),
  ...KLOG_FLAGS,
} satisfies FlagTable;

export type AgentConfig = FlagValues<typeof AGENT_FLAGS>;

/** Reads the settings. Throws one `invalid_argument` that says what is wrong and what must be. */
export function parseAgentConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): AgentConfig {
  const { values, rest } = parseFlags(
    AGENT_FLAGS,
    args.map(withDashes),
    withPeersNames(env),
  );
  const [unexpected] = rest;
  if (unexpected !== undefined) {
    throw new MaestroError("invalid_argument", `Unknown argument "${unexpected}": see --help`);
  }
  if (values["consumer-name"] === "") {
    throw new MaestroError("invalid_argument", "Cannot start: --consumer-name is required");
  }
  const [config, server] = [values["workload-source-config"], values["server"]];
  if ((config === undefined) === (server === undefined)) {
    throw new MaestroError(
      "invalid_argument",
      "Cannot start: give either --workload-source-config or --server",
    );
  }
  if (values["workload-source-driver"] === "mqtt" && config === undefined) {
    throw new MaestroError(
      "invalid_argument",
      "Cannot start: --workload-source-driver=mqtt needs --workload-source-config, not --server",
    );
  }
  checkElection(values);
  if ((values["tls-cert-file"] === undefined) !== (values["tls-private-key-file"] === undefined)) {
    throw new MaestroError(
      "invalid_argument",
      "Cannot start: --tls-cert-file and --tls-private-key-file are given together",
    );
  }
  return values;
}

/** As client-go demands it: otherwise one leads while another still does. */
function checkElection(values: AgentConfig): void {
  const { "leader-election-lease-duration": durationMs } = values;
  const { "leader-election-renew-deadline": deadlineMs } = values;
  const { "leader-election-retry-period": retryMs } = values;
  if (durationMs > deadlineMs && deadlineMs > 1.2 * retryMs) return;
  throw new MaestroError(
    "invalid_argument",
    "Cannot start: --leader-election-lease-duration must be more than " +
      "--leader-election-renew-deadline, and that more than 1.2 times --leader-election-retry-period",
  );
}

/** The consumers of this process: one, or as many as are simulated. */
export function consumerNames(config: AgentConfig): string[] {
  const { "consumer-name": name, simulate } = config;
  if (simulate <= 1) return [name];
  return Array.from({ length: simulate }, (_, index) => `${name}-${index + 1}`);
}

function driver(): Flag<"grpc" | "mqtt"> {
  const drivers = choice(["grpc", "mqtt"], "grpc", "how to reach the server");
  return {
    ...drivers,
    parse(given) {
      if (/^(kube|pubsub|kafka)$/.test(given)) {
        throw expected(`"grpc" or "mqtt", the drivers of this agent`);
      }
      return drivers.parse(given);
    },
  };
}

function listen(meaning: string): Flag<Listen | undefined> {
  const parse = (given: string): Listen => {
    const [, hostname = "", digits] = /^(?:\[?([^\]]*?)\]?):(\d{1,5})$/.exec(given) ?? [];
    const port = Number(digits ?? "-1");
    if (port < 0 || port > 65_535) throw expected('an address such as "127.0.0.1:8443"');
    return { hostname: hostname || "0.0.0.0", port };
  };
  return { value: "host:port", shown: "", meaning, fallback: undefined, parse };
}

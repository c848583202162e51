/**
 * The first run: a server, an agent and a Deployment that goes from REST to a cluster and back.
 *
 * `bun run demo` stays up until Ctrl-C; `--once` ends after the status came back; `--kubeconfig [file]` uses your
 * cluster; `--mqtt` puts mosquitto between server and agent; `--state-directory <folder>` puts the database there. What it made is removed in the end; the database stays
 * in a folder that it names.
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { defaultStateDirectory } from "../src/lib/db/embedded.ts";
import { describeError } from "../src/lib/errors.ts";
import { startChild } from "./child.ts";
import { type DemoBroker, startDemoBroker } from "./demo_broker.ts";
import { startDemoCluster } from "./demo_cluster.ts";
import { createDemoRest, NGINX_ON_CLUSTER1 } from "./demo_rest.ts";

const ROOT = join(import.meta.dir, "..");
const CONSUMER = "cluster1";
const START_TIMEOUT_MS = 60_000;
const STATUS_TIMEOUT_MS = 60_000;
const CLEAN_UP_TIMEOUT_MS = 15_000;
const PORTS = {
  "http-server-bindport": 8000,
  "grpc-server-bindport": 8090,
  "grpc-broker-bindport": 8091,
  "metrics-server-bindport": 8080,
  "health-check-server-bindport": 8083,
};

interface Serving {
  rest: string;
  /** The port for agents; absent if there is a broker between. */
  agents?: number;
}

const say = (line: string) => void process.stdout.write(line + "\n");

/** Runs the demo and resolves to the exit code. */
async function main(args: string[]): Promise<number> {
  const options = parseArguments(args);
  const started = performance.now();
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve());
  });
  const state = options.stateDirectory ??
    join(defaultStateDirectory(process.env, process.getuid?.()), "demo");
  await using stack = new AsyncDisposableStack();

  say(`Maestro's state is in ${state}`);
  const milestones = new Map<string, number>();
  const broker = await startDemoBroker(stack, { isMqtt: options.isMqtt, state, say });
  const [serving, cluster] = await Promise.all([
    startServer(stack, { state, broker, milestones }),
    startDemoCluster(stack, { root: ROOT, state, kubeconfig: options.kubeconfig, say }),
  ]);
  const token = (await Bun.file(join(state, "admin.token")).text()).trim();
  const rest = createDemoRest(`${serving.rest}/api/maestro/v1`, token);
  await rest.ensureConsumer(CONSUMER);
  const agent = stack.use(
    startChild([
      ...[process.execPath, join(ROOT, "src/agent.ts"), "--consumer-name", CONSUMER],
      ...["--listen", "127.0.0.1:0"],
      ...broker.agentFlags(serving.agents),
      ...cluster.agentFlags,
    ], process.env),
  );
  const agentLines = collect(agent.lines());
  // Leftovers of a run that was killed: confirmed by the agent before the name is used again.
  await rest.removeAll(CONSUMER, CLEAN_UP_TIMEOUT_MS);

  say(`\nPosting an nginx Deployment for ${CONSUMER} ...`);
  const posted = performance.now();
  const since = () => `${Math.round(performance.now() - posted)} ms`.padStart(8);
  const id = await rest.post(NGINX_ON_CLUSTER1);
  say(`  ${since()}  accepted  ${serving.rest}/api/maestro/v1/resources/${id}`);
  stack.defer(() => rest.removeAll(CONSUMER, CLEAN_UP_TIMEOUT_MS));
  let isSent = false;
  const resource = await rest.follow(id, STATUS_TIMEOUT_MS, {
    poll: () => {
      if (isSent || !milestones.has(id)) return;
      isSent = true;
      say(`  ${since()}  sent      to the agent of ${CONSUMER}`);
    },
    applied: (message) => say(`  ${since()}  applied   ${message}`),
    reported: (message) => say(`  ${since()}  reported  ${message}`),
    interrupted,
  });
  if (resource === undefined) {
    say("\nThe status did not come back. The agent says:");
    for (const line of agentLines.slice(-15)) say(`  ${line}`);
    return 1;
  }
  say(`\n${JSON.stringify(resource, null, 2)}\n`);
  say(`The demo took ${((performance.now() - started) / 1000).toFixed(1)} s.`);
  if (options.isOnce) return 0;
  sayNext(serving.rest, state, id, cluster.kubectl);
  await interrupted;
  say("\nRemoving what the demo made ...");
  return 0;
}

async function startServer(
  stack: AsyncDisposableStack,
  { state, broker, milestones }: {
    state: string;
    broker: DemoBroker;
    milestones: Map<string, number>;
  },
): Promise<Serving> {
  const ports = Object.entries(PORTS).flatMap(([flag, port]) => [
    `--${flag}`,
    String(isFree(port) ? port : 0),
  ]);
  const server = stack.use(
    startChild([
      ...[process.execPath, join(ROOT, "src/maestro.ts"), "server", "--state-directory", state],
      ...["--server-hostname", "127.0.0.1", "--log-level", "debug", ...ports],
      ...broker.serverFlags,
    ], process.env),
  );
  const serving = Promise.withResolvers<Serving>();
  const complaints: string[] = [];
  const read = async () => {
    for await (const line of server.lines()) {
      const event = parseLine(line);
      if (event === undefined || event["level"] === "error") complaints.push(line);
      if (event?.["message"] === "serving") serving.resolve(event as unknown as Serving);
      if (event?.["message"] === "sent a spec") {
        milestones.set(String(event["resource"]), performance.now());
      }
    }
    serving.reject(new Error(complaints.join("\n") || "the server ended"));
  };
  read().catch(serving.reject);
  const timer = setTimeout(
    () => serving.reject(new Error(`the server did not start within ${START_TIMEOUT_MS} ms`)),
    START_TIMEOUT_MS,
  );
  return await serving.promise.finally(() => clearTimeout(timer));
}

/** A port that another program has is not fought for: the system chooses one. */
function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop();
    return true;
  } catch {
    return false;
  }
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Keeps the last lines, for a failure to show. */
function collect(lines: AsyncIterable<string>): string[] {
  const kept: string[] = [];
  const read = async () => {
    for await (const line of lines) {
      kept.push(line);
      if (kept.length > 200) kept.shift();
    }
  };
  // A stream that breaks ends the list; the agent's exit tells more.
  read().catch(() => {});
  return kept;
}

function sayNext(rest: string, state: string, id: string, kubectl: string | undefined): void {
  const curl = `curl -H "Authorization: Bearer $(cat ${join(state, "admin.token")})"`;
  const resources = `${rest}/api/maestro/v1/resources`;
  say("It stays up until Ctrl-C. Try in another terminal:");
  say(`  ${curl} ${resources}`);
  say(`  ${curl} -X DELETE ${resources}/${id}`);
  if (kubectl !== undefined) say(`  ${kubectl} get deployments,pods`);
}

interface Options {
  isOnce: boolean;
  isMqtt: boolean;
  kubeconfig?: string;
  stateDirectory?: string;
}

function parseArguments(args: string[]): Options {
  const options: Options = { isOnce: false, isMqtt: false };
  for (let index = 0; index < args.length; index++) {
    const [name, inline] = (args[index] ?? "").split("=", 2);
    const next = args[index + 1];
    const value = inline ?? (next?.startsWith("--") ? undefined : next);
    if (name === "--once" || name === "--mqtt") {
      options[name === "--once" ? "isOnce" : "isMqtt"] = true;
      continue;
    }
    if (name === "--kubeconfig") {
      options.kubeconfig = value ?? process.env.KUBECONFIG ??
        join(process.env.HOME ?? "", ".kube/config");
      if (!existsSync(options.kubeconfig)) {
        throw new Error(`Cannot read --kubeconfig "${options.kubeconfig}": there is no such file`);
      }
    } else if (name === "--state-directory") {
      if (!value) throw new Error("Cannot use --state-directory: it needs the path of a folder");
      options.stateDirectory = resolve(value);
    } else {
      throw new Error(
        `Unknown argument "${name}": use --once, --mqtt, --kubeconfig [file] or ` +
          "--state-directory <folder>",
      );
    }
    if (inline === undefined && value !== undefined) index++;
  }
  return options;
}

const code = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`The demo failed: ${describeError(error)}\n`);
  return 1;
});
process.exit(code);

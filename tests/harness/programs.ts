/** The server and the agent as child processes: compiled, as they ship, or the server from its source. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { fastestFolder } from "./postgres.ts";

export interface Program extends AsyncDisposable {
  pid: number;
  /** What it wrote to standard error so far. */
  log(): string;
  /** Sends a signal and waits until the process is gone. Resolves with the exit code. */
  kill(signal: "SIGKILL" | "SIGTERM" | "SIGINT"): Promise<number | null>;
  /** Resolves with the exit code. */
  exited: Promise<number>;
  /** True until the process is gone. */
  isRunning(): boolean;
}

export interface Server extends Program {
  /** The URL of REST, without a path. */
  rest: string;
  /** Ports of 127.0.0.1. Agents have no door when a broker stands between. */
  agents: number;
  sources: number;
  health: number;
  /** The token of the embedded default; empty with a database of your own, where no door asks for one. */
  adminToken: string;
  stateDirectory: string;
}

export interface ServerOptions {
  /** More flags; they win over those of the harness. */
  args?: string[];
  /** Kept in the end; without it a new folder is made, and removed. */
  stateDirectory?: string;
  /** PostgreSQL to use in place of the embedded one. */
  databaseUrl?: string;
  /** Runs the source, which needs no build; without it the executable of `dist/`. */
  isFromSource?: boolean;
  /** Bun's own flags, for a server from its source. */
  runtimeFlags?: string[];
}

export interface AgentOptions {
  kubeconfig?: string;
  /** Host and port of the server's door for agents. */
  server?: string;
  consumerName: string;
  args?: string[];
  /** The log line that is waited for, in place of "serving". */
  until?: string;
  /** Runs the source, as with a server. */
  isFromSource?: boolean;
}

const REPOSITORY = join(import.meta.dir, "..", "..");
const SOURCE = join(REPOSITORY, "src", "maestro.ts");
const AGENT_SOURCE = [process.execPath, join(REPOSITORY, "src", "agent.ts")];
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

/** Starts `maestro server` on free ports and waits until it serves. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const { databaseUrl, args = [], runtimeFlags = [] } = options;
  const command = options.isFromSource
    ? [process.execPath, ...runtimeFlags, SOURCE]
    : executable("maestro");
  // Without the embedded PostgreSQL there is nothing to keep.
  const isOurs = options.stateDirectory === undefined && databaseUrl === undefined;
  const stateDirectory = isOurs
    ? mkdtempSync(join(fastestFolder(), "maestro-e2e-"))
    : options.stateDirectory ?? "";
  const program = spawnProgram(command, [
    ...["server", "--server-hostname", "127.0.0.1"],
    ...(stateDirectory === "" ? [] : ["--state-directory", stateDirectory]),
    ...["http", "grpc", "metrics"].flatMap((door) => [`--${door}-server-bindport`, "0"]),
    ...["--grpc-broker-bindport", "0", "--health-check-server-bindport", "0"],
    ...(databaseUrl === undefined
      ? []
      : ["--database-url", databaseUrl, "--enable-jwt=false", "--grpc-authn-type=mock"]),
    ...args,
  ]);
  const dispose = async () => {
    await program[Symbol.asyncDispose]();
    if (isOurs) rmSync(stateDirectory, { recursive: true, force: true });
  };
  try {
    const serving = await untilServing(program);
    const adminToken = databaseUrl === undefined
      ? readFileSync(join(stateDirectory, "admin.token"), "utf8").trim()
      : "";
    return {
      ...program,
      rest: String(serving["rest"]),
      agents: Number(serving["agents"]),
      sources: Number(serving["sources"]),
      health: Number(serving["health"]),
      adminToken,
      stateDirectory,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Brings the schema of a database of yours up to date, as an operator does: by `maestro migration`. */
export async function runMigration(databaseUrl: string): Promise<void> {
  const program = spawnProgram(executable("maestro"), ["migration", "--database-url", databaseUrl]);
  const code = await program.exited;
  if (code !== 0) throw new Error(`The migration ended with ${code}; it says\n${program.log()}`);
}

/** Flags that make a server that is started again open the doors of this one. */
export function sameDoors({ rest, agents, sources, health }: Server): string[] {
  const ports = {
    "http-server-bindport": new URL(rest).port,
    "grpc-broker-bindport": agents,
    "grpc-server-bindport": sources,
    "health-check-server-bindport": health,
  };
  return Object.entries(ports).flatMap(([flag, port]) =>
    // Behind a broker there is no door for agents.
    Number.isNaN(port) ? [] : [`--${flag}`, String(port)]
  );
}

/** Starts `maestro-agent` for a cluster. It connects when it can: a server need not be there yet. */
export async function startAgent(options: AgentOptions): Promise<Program> {
  const { kubeconfig, server } = options;
  const command = options.isFromSource ? AGENT_SOURCE : executable("maestro-agent");
  const program = spawnProgram(command, [
    ...["--consumer-name", options.consumerName, "--listen", "127.0.0.1:0", "--log-level", "debug"],
    ...(server === undefined ? [] : ["--server", server]),
    ...(kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig]),
    ...options.args ?? [],
  ]);
  try {
    await untilServing(program, options.until);
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return program;
}

function executable(name: string): string[] {
  const path = join(REPOSITORY, "dist", name);
  if (!existsSync(path)) throw new Error(`Cannot start dist/${name}: it is made by bun run build`);
  return [path];
}

/** Starts a program. It ends with the test process, however that ends. */
export function spawnProgram(
  command: string[],
  args: string[],
  env: Record<string, string> = {},
): Program {
  const child = Bun.spawn([...command, ...args], {
    cwd: REPOSITORY,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  // When we end, the kernel closes the pipe, and this shell ends the program.
  const guard = Bun.spawn(["/bin/sh", "-c", 'cat; kill -TERM "$0" 2>/dev/null', `${child.pid}`], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    detached: true,
  });
  guard.unref();
  let written = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) written += decoder.decode(chunk, { stream: true });
  };
  // A stream that breaks ends the log; the exit code tells more.
  const readAll = read().catch(() => {});
  const exited = child.exited.then(async (code) => {
    await readAll;
    guard.kill("SIGKILL");
    // The shell is gone before its `cat` ends, so nobody signals a pid that is no longer ours.
    await guard.exited;
    await guard.stdin.end();
    return code;
  });
  const kill: Program["kill"] = async (signal) => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    return child.exitCode;
  };
  return {
    pid: child.pid,
    log: () => written,
    kill,
    exited,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    [Symbol.asyncDispose]: async () => void await kill("SIGTERM"),
  };
}

/** The fields of its log line "serving", or of another. */
async function untilServing(
  program: Program,
  message = "serving",
): Promise<Record<string, unknown>> {
  const line = await eventually(
    () => {
      const found = program.log().split("\n").find((line) => line.includes(`"${message}"`));
      if (found === undefined && !program.isRunning()) return "";
      return found;
    },
    (found) => found !== undefined,
    { timeoutMs: START_TIMEOUT_MS },
  ).catch((error: unknown) => {
    throw new Error(`The program does not serve; it says\n${program.log()}`, { cause: error });
  });
  if (!line) throw new Error(`The program ended before it served; it says\n${program.log()}`);
  return JSON.parse(line);
}

/** A real MQTT broker on a free port, which a test may kill and start again. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts, freePort } from "../../tools/ports.ts";
import { familyCpuMs } from "./cpu.ts";
import { eventually } from "./eventually.ts";

export interface Mosquitto extends AsyncDisposable {
  /** Of 127.0.0.1. */
  port: number;
  /** The CPU time that it has used since its start, in milliseconds. */
  cpuMs(): number;
  /** Ends it; without persistence whatever it kept is gone. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  /** What it logged so far. */
  log(): string;
}

export interface MosquittoOptions {
  /** More lines of mosquitto.conf. */
  config?: string[];
  /** PEM files; with them clients must show a certificate of this authority. */
  tls?: { caFile: string; certFile: string; keyFile: string };
}

/** Debian installs daemons where only root looks. */
const PATH = `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin`;
const START_TIMEOUT_MS = 10_000;
/** What mosquitto logs by itself, and who subscribed to what. */
const LOGGED = ["error", "warning", "notice", "information", "subscribe"];

/** Starts mosquitto. Its defaults are Debian's, but for no-delay, which docs/configuration.md asks for too. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const program = Bun.which("mosquitto", { PATH });
  if (program === null) {
    throw new Error('Cannot find "mosquitto": install it (Debian: apt-get install mosquitto)');
  }
  const folder = mkdtempSync(join(tmpdir(), "maestro-mosquitto-"));
  const port = freePort();
  const file = join(folder, "mosquitto.conf");
  writeFileSync(file, settings(port, options));
  let child: Bun.Subprocess<"pipe", "ignore", "pipe"> | undefined;
  let log = "";

  const start = async () => {
    // The shell ends the broker when the kernel closes its pipe, however the test ends.
    const started = Bun.spawn(
      ["/bin/sh", "-c", '"$0" -c "$1" & (cat; kill "$!") 2>/dev/null; wait', program, file],
      { stdin: "pipe", stdout: "ignore", stderr: "pipe", detached: true },
    );
    child = started;
    const read = async () => {
      const decoder = new TextDecoder();
      for await (const chunk of started.stderr) log += decoder.decode(chunk, { stream: true });
    };
    // A stream that breaks ends the log.
    read().catch(() => {});
    await eventually(() => accepts(port), Boolean, { timeoutMs: START_TIMEOUT_MS }).catch(
      (cause) => {
        throw new Error(`mosquitto does not start; it says\n${log}`, { cause });
      },
    );
  };
  const kill = async (signal: "SIGKILL" | "SIGTERM") => {
    const ended = child;
    if (ended === undefined) return;
    child = undefined;
    // Its children are the broker and the shell's watcher; all are of one group.
    process.kill(-ended.pid, signal);
    await ended.exited;
  };
  await start();
  return {
    port,
    cpuMs: () => child === undefined ? 0 : familyCpuMs(child.pid),
    start,
    kill,
    log: () => log,
    async [Symbol.asyncDispose]() {
      await kill("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function settings(port: number, { config = [], tls }: MosquittoOptions): string {
  return [
    `listener ${port} 127.0.0.1`,
    // Started by root it would change to a user who cannot read a test's keys.
    "user root",
    "allow_anonymous true",
    "set_tcp_nodelay true",
    ...LOGGED.map((type) => `log_type ${type}`),
    ...(tls === undefined ? [] : [
      `cafile ${tls.caFile}`,
      `certfile ${tls.certFile}`,
      `keyfile ${tls.keyFile}`,
      "require_certificate true",
    ]),
    ...config,
    "",
  ].join("\n");
}

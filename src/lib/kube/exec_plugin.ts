/** Gets credentials from a program, as cloud providers want it (client.authentication.k8s.io). */

import { join } from "node:path";
import * as v from "valibot";
import { MaestroError } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { Credentials, Environment, KubeAccess, Trust } from "./access.ts";

const API_VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/** The longest time a program may take. Nobody is there to answer a question of it. */
const RUN_MS_MAX = 60_000;
/** Credentials that end this soon are renewed before they are used. */
const REMAINING_MS_MIN = 10_000;
const COMPLAINT_LENGTH_MAX = 500;

/** The member `exec` of a kubeconfig's user. */
export const execSchema = v.object({
  apiVersion: v.picklist(API_VERSIONS, `must be "${API_VERSIONS.join('" or "')}"`),
  command: v.string("is missing"),
  args: v.nullish(v.array(v.string())),
  env: v.nullish(v.array(v.object({ name: v.string(), value: v.string() }))),
  installHint: v.nullish(v.string()),
  provideClusterInfo: v.nullish(v.boolean()),
  interactiveMode: v.nullish(v.string()),
});

type Exec = v.InferOutput<typeof execSchema>;

interface Surroundings {
  /** Where the kubeconfig lies: a command with a slash is relative to it. */
  folder: string;
  env: Environment;
  cluster: { server: string; trust: Trust; config: unknown };
}

interface Issued {
  credentials: Credentials;
  expiresAtMs: number;
}

/** Runs the program when its last credentials have expired or were refused; one run at a time. */
export function startExecPlugin(exec: Exec, around: Surroundings): KubeAccess["credentials"] {
  if (exec.interactiveMode === "Always") {
    throw refusal(exec, "it wants a terminal (interactiveMode: Always), and there is none");
  }
  let issued: Issued | undefined;
  let running: Promise<Issued> | undefined;
  return async (refused) => {
    if (issued !== undefined && issued.credentials !== refused && isFresh(issued)) {
      return issued.credentials;
    }
    running ??= run(exec, around).finally(() => running = undefined);
    issued = await running;
    return issued.credentials;
  };
}

function isFresh({ expiresAtMs }: Issued): boolean {
  return Date.now() + REMAINING_MS_MIN < expiresAtMs;
}

async function run(exec: Exec, around: Surroundings): Promise<Issued> {
  const isPath = exec.command.includes("/") && !exec.command.startsWith("/");
  const command = isPath ? join(around.folder, exec.command) : exec.command;
  const env: Record<string, string | undefined> = { ...around.env };
  for (const { name, value } of exec.env ?? []) env[name] = value;
  env["KUBERNETES_EXEC_INFO"] = JSON.stringify(execInfo(exec, around));
  let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    child = Bun.spawn([command, ...(exec.args ?? [])], {
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: RUN_MS_MAX,
      killSignal: "SIGKILL",
    });
  } catch (cause) {
    const hint = exec.installHint ? `. ${exec.installHint.trim()}` : "";
    throw refusal(exec, `the program is not there${hint}`, cause);
  }
  const [output, complaint, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) {
    const state = child.signalCode === null
      ? `it ended with ${code}`
      : `ended by ${child.signalCode}`;
    throw refusal(exec, `${state}: ${complaint.trim().slice(0, COMPLAINT_LENGTH_MAX)}`);
  }
  return parseIssued(exec, output);
}

function execInfo(exec: Exec, { cluster: { server, trust, config } }: Surroundings): JsonObject {
  const cluster = {
    server,
    "tls-server-name": trust.serverName,
    "insecure-skip-tls-verify": trust.isInsecure || undefined,
    "certificate-authority-data": trust.ca && Buffer.from(trust.ca).toString("base64"),
    config,
  };
  return {
    kind: "ExecCredential",
    apiVersion: exec.apiVersion,
    spec: { interactive: false, ...(exec.provideClusterInfo ? { cluster } : {}) },
  };
}

function parseIssued(exec: Exec, output: string): Issued {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch (cause) {
    throw refusal(exec, "its output is not JSON", cause);
  }
  if (!isObject(answer) || answer["kind"] !== "ExecCredential") {
    throw refusal(exec, "its output is not an ExecCredential");
  }
  if (answer["apiVersion"] !== exec.apiVersion) {
    throw refusal(
      exec,
      `its answer is "${answer["apiVersion"]}", and must be "${exec.apiVersion}"`,
    );
  }
  const status = isObject(answer["status"]) ? answer["status"] : {};
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status;
  const credentials: Credentials = {};
  if (typeof token === "string" && token !== "") credentials.authorization = `Bearer ${token}`;
  if (typeof cert === "string" && typeof key === "string") credentials.certificate = { cert, key };
  if (!credentials.authorization && !credentials.certificate) {
    throw refusal(exec, "its answer has neither a token nor a client certificate with its key");
  }
  const expiresAtMs = expirationTimestamp === undefined
    ? Infinity
    : Date.parse(String(expirationTimestamp));
  if (Number.isNaN(expiresAtMs)) throw refusal(exec, "its expirationTimestamp is not a time");
  return { credentials, expiresAtMs };
}

function refusal(exec: Exec, state: string, cause?: unknown): MaestroError {
  return new MaestroError(
    "unauthenticated",
    `Cannot get Kubernetes credentials from "${exec.command}": ${state}`,
    { cause },
  );
}

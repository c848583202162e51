/** Mistakes in the broker's file: each program says what is wrong, in one line, and ends with 2. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../harness/certificates.ts";
import { createDatabase } from "../harness/postgres.ts";

const folder = await mkdtemp(join(tmpdir(), "maestro-mistakes-"));
const REPOSITORY = join(import.meta.dir, "..", "..");
const one = await makeCertificate(folder, "DNS:localhost");
const other = await makeCertificate(folder, "DNS:localhost");

afterAll(() => rm(folder, { recursive: true }));

const AGENT = ["agent.ts", "--consumer-name", "c1", "--simulate", "1", "--listen", "127.0.0.1:0"];

/** Starts a program and waits for its end. */
async function run(file: string, args: string[]): Promise<{ code: number; output: string }> {
  const child = Bun.spawn([process.execPath, join(REPOSITORY, "src", file), ...args], {
    env: { PATH: process.env.PATH },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: stdout + stderr };
}

async function runAgent(text: string): Promise<{ code: number; output: string }> {
  const path = join(folder, `${crypto.randomUUID()}.yaml`);
  await Bun.write(path, text);
  const [file = "", ...args] = AGENT;
  const mqtt = ["--workload-source-driver=mqtt", "--workload-source-config", path];
  const { code, output } = await run(file, [...args, ...mqtt]);
  return { code, output: output.replaceAll(path, "FILE") };
}

const HOST = "brokerHost: a:1883\n";
const TOPICS = "topics:\n  sourceEvents: sources/maestro/consumers/+/sourceevents\n" +
  "  agentEvents: sources/maestro/consumers/+/agentevents\n";
const GOOD = HOST + TOPICS;

test.concurrent.each([
  ["it is empty", ""],
  ["it must be a mapping of keys to values", "- brokerHost: a:1\n"],
  ["it is neither YAML nor JSON: ", "brokerHost: a: b: c\n"],
  ["brokerHost is required", TOPICS],
  ['brokerHost must be host:port, not "tcp://a:1883"', `brokerHost: tcp://a:1883\n${TOPICS}`],
  ['brokerHost must be host:port, not "a"', `brokerHost: a\n${TOPICS}`],
  ['brokerHost must be host:port, not "a:70000"', `brokerHost: a:70000\n${TOPICS}`],
  ["brokerHost must be text", `brokerHost: 1883\n${TOPICS}`],
  ['the key "broker" is not known; known are brokerHost, ', `broker: a:1883\n${TOPICS}`],
  ["the topics must be set: topics.sourceEvents and topics.agentEvents", HOST],
  ["topics must be a mapping of keys to values", `${HOST}topics: all\n`],
  ['the key "topics.sourceEvent" is not known', `${GOOD}  sourceEvent: x\n`],
  [
    'topics.agentEvents "agentevents" must match ',
    `${HOST}topics:\n  sourceEvents: sources/maestro/consumers/+/sourceevents\n` +
    "  agentEvents: agentevents\n",
  ],
  ["keepAlive must be a whole number from 0 to 65535", `${GOOD}keepAlive: 60s\n`],
  ["pubQoS must be a whole number from 0 to 2", `${GOOD}pubQoS: 3\n`],
  [
    'dialTimeout "soon": expected a duration such as "30s" or "1m30s"',
    `${GOOD}dialTimeout: soon\n`,
  ],
  ["password must be text", `${GOOD}password: 12345\n`],
  [
    "either both or none of clientCertFile and clientKeyFile must be set",
    `${GOOD}clientKeyFile: ${one.files.key}\n`,
  ],
  ['caFile "/nowhere": it does not exist', `${GOOD}caFile: /nowhere\n`],
  [
    "is not the key of the certificate in clientCertFile",
    `${GOOD}clientCertFile: ${one.files.cert}\nclientKeyFile: ${other.files.key}\n`,
  ],
])("an agent says of its file: %s", async (reason, text) => {
  const { code, output } = await runAgent(text);

  expect(output).toStartWith(`Cannot read the broker config "FILE": `);
  expect(output).toContain(reason);
  expect(output.trimEnd().split("\n")).toHaveLength(1);
  expect(code).toBe(2);
}, 60_000);

test.concurrent.each([
  ["there is no such file", ["--workload-source-config", "/nowhere.yaml"], "it does not exist"],
  ["no file is named", ["--server", "a:1"], "mqtt needs --workload-source-config"],
])("an agent with MQTT says so if %s", async (_, flags, reason) => {
  const [file = "", ...args] = AGENT;
  const { code, output } = await run(file, [...args, "--workload-source-driver=mqtt", ...flags]);

  expect(output).toContain(reason);
  expect(output.trimEnd().split("\n")).toHaveLength(1);
  expect(code).toBe(2);
}, 60_000);

test.concurrent.each([
  ["brokerHost is required", TOPICS],
  [
    'topics.agentEvents is of the source "other", this is the source "maestro"',
    GOOD.replaceAll("/maestro/", "/other/"),
  ],
])("a server says of its file: %s", async (reason, text) => {
  await using database = await createDatabase();
  const path = join(folder, `${crypto.randomUUID()}.yaml`);
  await Bun.write(path, text);
  const doors = ["http-server", "grpc-server", "metrics-server", "health-check-server"];

  const { code, output } = await run("maestro.ts", [
    ...["server", "--database-url", database.url, "--enable-jwt=false", "--grpc-authn-type=mock"],
    ...["--message-broker-type=mqtt", "--message-broker-config-file", path],
    ...doors.map((door) => `--${door}-bindport=0`),
  ]);

  expect(output).toContain(reason);
  expect(output.trimEnd().split("\n")).toHaveLength(1);
  expect(code).toBe(2);
}, 60_000);

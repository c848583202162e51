/** Mistakes in the agent's configuration: the program says what is wrong, in one line, and ends with 2. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../harness/certificates.ts";

const folder = await mkdtemp(join(tmpdir(), "maestro-mistakes-"));
const REPOSITORY = join(import.meta.dir, "..", "..");
const TIMEOUT_MS = 60_000;
const one = await makeCertificate(folder, "DNS:localhost");
const other = await makeCertificate(folder, "DNS:localhost");
const empty = join(folder, "empty");
await Bun.write(empty, "");

afterAll(() => rm(folder, { recursive: true }));

/** Starts the agent with this configuration file, and waits for its end. */
const startWith = (path: string) => start("--workload-source-config", path);

async function start(...args: string[]): Promise<{ code: number; output: string }> {
  const child = Bun.spawn([
    ...[process.execPath, join(REPOSITORY, "src", "agent.ts"), "--consumer-name", "c1"],
    ...["--simulate", "1", "--listen", "127.0.0.1:0", ...args],
  ], { env: { PATH: process.env.PATH }, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: stdout + stderr };
}

const pair = `clientCertFile: ${one.files.cert}\nclientKeyFile: ${one.files.key}`;
const base64 = btoa("not a certificate");

test.concurrent.each([
  ["it is empty", ""],
  ["it is empty", "# only a remark\n"],
  ["it must be a mapping of keys to values", "- url: a:1\n"],
  ["it must be a mapping of keys to values", "a:1\n"],
  ["it is neither YAML nor JSON: Nested mappings are not allowed", "url: a: b: c\n"],
  ["it is neither YAML nor JSON: Map keys must be unique", "url: a:1\nurl: b:1\n"],
  ["it is neither YAML nor JSON: ", '{"url":"a:1"'],
  ["url is required", "{}"],
  ["url is required", 'url: ""'],
  ["url must be text", "url: 8091"],
  ['url must be host:port, not "http://a:1"', "url: http://a:1"],
  ['url must be host:port, not "a"', "url: a"],
  ['url must be host:port, not "a:65536"', "url: a:65536"],
  ['the key "urll" is not known; known are url, token, tokenFile, caFile', "urll: a:1"],
  ['the key "brokerHost" is not known', "brokerHost: a:1883"],
  ["setting token requires authority certificates", "url: a:1\ntoken: x"],
  ["setting token requires authority certificates", `url: a:1\ntokenFile: ${empty}`],
  ["token must be text", `url: a:1\ntoken: 5\ncaFile: ${one.files.cert}`],
  ["token must be one line", `url: a:1\ntoken: "a b"\ncaFile: ${one.files.cert}`],
  [`tokenFile "${empty}" must be one line`, `url: a:1\ntokenFile: ${empty}\n${pair}`],
  ['tokenFile "/nowhere": it does not exist', `url: a:1\ntokenFile: /nowhere\n${pair}`],
  [
    "either both or none of clientCertFile and clientKeyFile must be set",
    `url: a:1\nclientCertFile: ${one.files.cert}`,
  ],
  [
    "either both or none of clientCertFile and clientKeyFile must be set",
    `url: a:1\nclientKeyFile: ${one.files.key}\ncaFile: ${one.files.cert}`,
  ],
  ['caFile "/nowhere": it does not exist', "url: a:1\ncaFile: /nowhere"],
  [`caFile "${folder}": it is a folder`, `url: a:1\ncaFile: ${folder}`],
  [`caFile "${empty}" holds no certificate in PEM`, `url: a:1\ncaFile: ${empty}`],
  ["caData holds no certificate in PEM", `url: a:1\ncaData: ${base64}`],
  [
    `clientKeyFile "${one.files.cert}" holds no private key in PEM`,
    `url: a:1\nclientCertFile: ${one.files.cert}\nclientKeyFile: ${one.files.cert}`,
  ],
  [
    `clientKeyFile "${other.files.key}" is not the key of the certificate in clientCertFile`,
    `url: a:1\nclientCertFile: ${one.files.cert}\nclientKeyFile: ${other.files.key}`,
  ],
  ["keepAliveConfig must be a mapping", "url: a:1\nkeepAliveConfig: true"],
  ["keepAliveConfig.enable must be true or false", "url: a:1\nkeepAliveConfig: {enable: often}"],
  ['the key "keepAliveConfig.every" is not known', "url: a:1\nkeepAliveConfig: {every: 3s}"],
  [
    'keepAliveConfig.time "soon": expected a duration such as "30s"',
    "url: a:1\nkeepAliveConfig: {enable: true, time: soon}",
  ],
  [
    'serverHealthinessTimeout "-5s": expected a duration',
    "url: a:1\nserverHealthinessTimeout: -5s",
  ],
])("a mistake in the config file is one line and exit code 2: %s", async (reason, text) => {
  const path = join(folder, crypto.randomUUID());
  await Bun.write(path, text);

  const { code, output } = await startWith(path);

  expect(output).toStartWith(`Cannot read the broker config "${path}": ${reason}`);
  expect(output).toEndWith("\n");
  expect(output.trimEnd().split("\n")).toHaveLength(1);
  expect(code).toBe(2);
}, TIMEOUT_MS);

test.each([["/nowhere/config.yaml", "it does not exist"], [folder, "it is a folder"]])(
  "a config file that cannot be read is one line and exit code 2: %s",
  async (path, reason) => {
    const { code, output } = await startWith(path);

    expect(output).toBe(`Cannot read the broker config "${path}": ${reason}\n`);
    expect(code).toBe(2);
  },
  TIMEOUT_MS,
);

test.each([
  ["", "--server is required"],
  ["a", '--server must be host:port, not "a"'],
  ["http://a:1", '--server must be host:port, not "http://a:1"'],
])(
  "an address of a server that cannot be is one line that names the flag: %j",
  async (address, line) => {
    expect(await start("--server", address)).toEqual({ code: 2, output: `${line}\n` });
  },
  TIMEOUT_MS,
);

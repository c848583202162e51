/** Every command block of the README and the guides does what the reader is told. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { scripts } from "../package.json";
import { artefactChecks } from "../tools/checks.ts";
import { startChild } from "../tools/child.ts";
import {
  call,
  CONSUMERS,
  createConsumer,
  post,
  RESOURCES,
  untilApplied,
  untilInCluster,
} from "./e2e/client.ts";
import { encodeStructured } from "../src/lib/wire/structured.ts";
import { specEvent } from "./harness/events.ts";
import { startKubernetes } from "./harness/kubernetes.ts";
import { startMosquitto } from "./harness/mosquitto.ts";
import { fastestFolder } from "./harness/postgres.ts";
import { startServer } from "./harness/programs.ts";
import { openKubeconfig } from "./kube/objects.ts";

/** A block that is meant for a shell. */
interface Block {
  /** File and line, for a message. */
  place: string;
  text: string;
}

const ROOT = join(import.meta.dir, "..");
const TIMEOUT_MS = 180_000;

/** Which blocks each test below executes, by what stands in them. Each block belongs to exactly one. */
const EXECUTORS = {
  demo: /^npx -y bun@[\d.]+ run demo$/,
  test: /^npx -y bun@[\d.]+ run test$/,
  build: /^bun run build$/,
  curl: /\bcurl\b.*http:\/\/localhost:8000\//,
  // By tests/rest/cloud_events.test.ts, which has what the request needs.
  events: /^curl -i "\$MAESTRO\/api\/maestro\/v1\/cloudevents"/,
  // By tests/rest/connect/guide.test.ts, which runs the client of the guide as well.
  connect: /\/maestro\.v1\./,
  writing: /^curl -X \w+ "\$MAESTRO\/api\/maestro\/v1\/resource-bundles/,
  search: /^search(\(\) \{| )/,
  watch: /^curl -N .*[\s\S]*watch=true/,
  mqtt: /^bun run maestro server --message-broker-type mqtt .*\nbun run agent .*broker\.yaml$/,
  // By tests/ops/agent_deploy.test.ts, which has a cluster with controllers.
  deploy: /^for name in .*; do\n {2}kubectl apply --server-side -f deploy\/agent\//,
  agent: /^bun run agent .*--server localhost:8091 --kubeconfig ~\/\.kube\/config$/,
};

const blocks = await readBlocks();
const blocksOf = (executor: keyof typeof EXECUTORS) =>
  blocks.filter(({ text }) => EXECUTORS[executor].test(text));

test("every command block of the README and the guides is executed by a test", () => {
  const problems: string[] = [];
  for (const { place, text } of blocks) {
    const names = Object.entries(EXECUTORS).filter(([, pattern]) => pattern.test(text));
    if (names.length === 1) continue;
    problems.push(
      `${place}: nobody executes "${
        text.split("\n")[0]
      }"; in tests/readme.test.ts, add a pattern to ` +
        "EXECUTORS and a test that runs the block, or widen one that is there",
    );
  }
  for (const [name, pattern] of Object.entries(EXECUTORS)) {
    if (blocks.some(({ text }) => pattern.test(text))) continue;
    problems.push(`tests/readme.test.ts: no block is for "${name}" any more; remove it`);
  }

  expect(problems.join("\n")).toBe("");
});

test("the test command and the build command are those of the gate", () => {
  const executables = artefactChecks().flatMap(({ command }) => command);

  // They would start this test again, or replace the executables under the other tests: the gate runs them.
  expect(scripts.test).toEndWith("bun tools/test.ts");
  expect(scripts.build).toBe("bun tools/build.ts");
  expect(executables).toContain("tools/build.ts");
});

test.each([
  ["gRPC", []],
  ["mosquitto", ["--mqtt"]],
])("the demo goes from accepted to reported over %s, without a cluster", async (_, flags) => {
  const folder = mkdtempSync(join(fastestFolder(), "maestro-readme-"));
  const cache = mkdtempSync(join(tmpdir(), "maestro-cache-"));
  const demo = Bun.spawn(
    [process.execPath, "tools/demo.ts", "--once", "--state-directory", folder, ...flags],
    {
      cwd: ROOT,
      env: { PATH: process.env.PATH, HOME: cache, XDG_CACHE_HOME: cache },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const [said, complaints] = await Promise.all([demo.stdout.text(), demo.stderr.text()]);
  const code = await demo.exited;
  for (const path of [folder, cache]) rmSync(path, { recursive: true, force: true });

  expect(scripts.demo).toEndWith("bun tools/demo.ts");
  expect({ code, complaints }).toEqual({ code: 0, complaints: "" });
  expect(said).toContain("The cluster is simulated");
  expect(said.includes("The broker is mosquitto")).toBe(flags.length > 0);
  expect(said).toMatch(/accepted[\s\S]*sent[\s\S]*applied[\s\S]*reported/);
  expect(said).toContain('"availableReplicas": 1');
}, TIMEOUT_MS);

test("what the requests of the README create arrives in the cluster of its agent", async () => {
  await using stack = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), "maestro-home-"));
  stack.defer(() => rmSync(home, { recursive: true, force: true }));
  const [server, kubernetes] = await Promise.all([
    startServer().then((server) => stack.use(server)),
    startKubernetes({ controllers: true }).then((kubernetes) => stack.use(kubernetes)),
  ]);
  mkdirSync(join(home, ".kube"));
  copyFileSync(kubernetes.kubeconfig, join(home, ".kube/config"));
  const here = (text: string) =>
    text
      .replaceAll("http://localhost:8000", server.rest)
      .replaceAll("localhost:8091", `127.0.0.1:${server.agents}`);
  const env = {
    PATH: `${join(ROOT, "node_modules/.bin")}:${process.env.PATH}`,
    HOME: home,
    STATE_DIRECTORY: server.stateDirectory,
    MAESTRO_LISTEN: "127.0.0.1:0",
  };

  // One shell for all, as the reader has one; a refusal ends it.
  const strict = 'set -euo pipefail\ncurl() { command curl -sS --fail "$@"; }\n';
  const requests = blocksOf("curl").map(({ text }) => here(text)).join("\n");
  const shell = Bun.spawn(["bash", "-c", strict + requests], {
    cwd: ROOT,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const complaints = await shell.stderr.text();
  for (const { text } of blocksOf("agent")) {
    stack.use(startChild(["bash", "-c", `cd "${ROOT}"\nexec ${here(text)}`], env));
  }
  const { body: consumers } = await call(server, "GET", CONSUMERS);
  const { body: resources } = await call(server, "GET", RESOURCES);
  for (const { id } of resources.items) await untilApplied(server, id);
  const kube = await openKubeconfig(kubernetes.kubeconfig);

  expect({ code: await shell.exited, complaints }).toEqual({ code: 0, complaints: "" });
  expect(consumers.items).toMatchObject([{ name: "cluster1" }]);
  expect(resources.total).toBe(1);
  for (const { manifest } of resources.items) {
    const { apiVersion, kind, metadata: { name } } = manifest;
    expect(await untilInCluster(kube, apiVersion, kind, name)).toMatchObject(manifest);
  }
}, TIMEOUT_MS);

test(
  "the requests of the guide to watching show what is there, and resume after a cursor",
  async () => {
    await using server = await startServer();
    await createConsumer(server, "cluster1");
    const publish = async (id: string) => {
      const answer = await fetch(`${server.rest}/api/maestro/v1/cloudevents`, {
        method: "POST",
        headers: {
          "content-type": "application/cloudevents+json",
          authorization: `Bearer ${server.adminToken}`,
        },
        body: encodeStructured(specEvent({ id, consumerName: "cluster1" })),
      });
      expect(answer.status).toBe(204);
    };
    await publish("web");
    const env = { PATH: process.env.PATH, MAESTRO: server.rest, TOKEN: server.adminToken };

    const [all, lines, some, resumed] = blocksOf("watch");
    const shown = await untilSaid(all?.text ?? "", env, "event: bookmark\n");
    const written = await untilSaid(lines?.text ?? "", env, '"type":"BOOKMARK"');
    const found = await untilSaid(some?.text ?? "", env, "event: bookmark\n");
    const CURSOR = /^id: (.*)$/m.exec(shown)?.[1] ?? "";
    await publish("late");
    const after = await untilSaid(resumed?.text ?? "", { ...env, CURSOR }, "event: added\n");

    for (const said of [shown, found]) expect(said).toMatch(/event: added[\s\S]*"id":"web"/);
    expect(written).toMatch(/^\{"type":"ADDED","object":\{.*"id":"web"/);
    expect(after).toContain('"id":"late"');
    expect(after).not.toContain('"id":"web"');
  },
  TIMEOUT_MS,
);

test("the requests of the guide to writing do what it says, one after the other", async () => {
  await using server = await startServer({ isFromSource: true });
  await createConsumer(server, "cluster1");
  const folder = mkdtempSync(join(tmpdir(), "maestro-writing-"));
  const manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: default}}";
  writeFileSync(join(folder, "web.yaml"), `${manifest}\n---\n`);
  const requests = blocksOf("writing").map(({ text }) => `${text}\necho`).join("\n");

  const strict = 'set -euo pipefail\ncurl() { command curl -sS -w " %{http_code}" "$@"; }\n';
  const shell = Bun.spawn(["bash", "-c", strict + requests], {
    cwd: folder,
    env: { PATH: process.env.PATH, MAESTRO: server.rest, TOKEN: server.adminToken },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [said, complaints] = await Promise.all([shell.stdout.text(), shell.stderr.text()]);
  rmSync(folder, { recursive: true, force: true });
  const answers = said.trim().split("\n").map((line) => line.slice(-3));
  const items = JSON.parse(said.trim().split("\n").at(-1)?.slice(0, -4) ?? "").items;

  expect({ code: await shell.exited, complaints }).toEqual({ code: 0, complaints: "" });
  expect(answers).toEqual(["201", "201", "200", "200", "204", "201", "200"]);
  expect(items.map(({ status }: { status: number }) => status)).toEqual([201, 200, 201, 204]);
}, TIMEOUT_MS);

test("the requests of the guide to searching find what they ask for", async () => {
  await using server = await startServer();
  await createConsumer(server, "cluster1");
  const labels = { app: "web", tier: "a" };
  for (const id of ["web-1", "web-2"]) {
    const event = specEvent({
      ...{ id, consumerName: "cluster1", source: "a" },
      extensions: { metadata: JSON.stringify({ labels, annotations: { owner: "me" } }) },
    });
    const answer = await fetch(`${server.rest}/api/maestro/v1/cloudevents`, {
      method: "POST",
      headers: {
        "content-type": "application/cloudevents+json",
        authorization: `Bearer ${server.adminToken}`,
      },
      body: encodeStructured(event),
    });
    expect(answer.status).toBe(204);
  }
  const found = async (part: string) => {
    const [define, ...others] = blocksOf("search").map(({ text }) => text);
    const all = [define, ...others].join("\n").split(/\n(?=search [a-z])/);
    const script = [all[0], ...all.slice(1).filter((one) => one.includes(part))].join("\n");
    const child = Bun.spawn(["bash", "-c", `set -euo pipefail\n${script}`], {
      env: {
        ...{ PATH: process.env.PATH, MAESTRO: server.rest, TOKEN: server.adminToken },
        CONTINUE: "",
      },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [said, complaints] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ part, complaints, code: await child.exited }).toEqual({
      part,
      complaints: "",
      code: 0,
    });
    return said.split(/(?<=\})(?=\{"(?:items|continue)")/).map((text) => JSON.parse(text).total);
  };

  expect((await found("")).length).toBe(13);
  expect(await found("labels @>")).toEqual([2]);
  expect(await found("'owner'")).toEqual([2]);
  expect(await found("not (source")).toEqual([0]);
  expect(await found("('cluster1', 'cluster2')")).toEqual([1]);
  expect(await found("deleted_at is null")).toEqual([2]);
  expect(await found("fields=")).toEqual([2]);
}, TIMEOUT_MS);

/** What a request that has no end says until this has come. */
async function untilSaid(
  text: string,
  env: Record<string, string | undefined>,
  last: string,
): Promise<string> {
  const child = Bun.spawn(["bash", "-c", `exec ${text}`], {
    env,
    stdout: "pipe",
    stderr: "ignore",
  });
  let said = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    said += decoder.decode(chunk, { stream: true });
    if (said.includes(last)) child.kill();
  }
  await child.exited;
  return said;
}

test("the server and the agent of the README meet at an MQTT broker", async () => {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startMosquitto());
  const folder = mkdtempSync(join(fastestFolder(), "maestro-readme-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "broker.yaml");
  const guide = await Bun.file(join(ROOT, "docs/configuration.md")).text();
  const [, example = ""] = /```yaml\n(brokerHost[\s\S]*?)```/.exec(guide) ?? [];
  writeFileSync(file, example.replace("mosquitto:1883", `127.0.0.1:${broker.port}`));
  const env = {
    PATH: `${join(ROOT, "node_modules/.bin")}:${process.env.PATH}`,
    HOME: folder,
    MAESTRO_STATE_DIRECTORY: folder,
    MAESTRO_HTTP_SERVER_BINDPORT: "0",
    MAESTRO_GRPC_SERVER_BINDPORT: "0",
    MAESTRO_METRICS_SERVER_BINDPORT: "0",
    MAESTRO_HEALTH_CHECK_SERVER_BINDPORT: "0",
    MAESTRO_ENABLE_JWT: "false",
    MAESTRO_GRPC_AUTHN_TYPE: "mock",
    MAESTRO_LISTEN: "127.0.0.1:0",
    MAESTRO_SIMULATE: "1",
  };

  const [server = "", agent = ""] = (blocksOf("mqtt")[0]?.text ?? "").split("\n")
    .map((line) => `cd "${ROOT}"\nexec ${line.replace("broker.yaml", file)}`);
  const started = stack.use(startChild(["bash", "-c", server], env));
  const door = { rest: await servedBy(started.lines()), adminToken: "" };
  stack.use(startChild(["bash", "-c", agent], env));
  await createConsumer(door, "cluster1");
  const manifest = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "a", namespace: "default" },
  };
  const id = await post(door, "cluster1", manifest);

  expect((await untilApplied(door, id)).body.version).toBe(1);
}, TIMEOUT_MS);

/** The URL that a server's log names when it serves. */
async function servedBy(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) {
    if (line.includes('"serving"')) return String(JSON.parse(line)["rest"]);
  }
  throw new Error("The server has ended before it served");
}

/** The fenced blocks for a shell, in the order in which they are read. */
async function readBlocks(): Promise<Block[]> {
  const guides = [...new Bun.Glob("docs/**/*.md").scanSync(ROOT)].sort();
  const found: Block[] = [];
  for (const path of ["README.md", ...guides]) {
    const document = await Bun.file(join(ROOT, path)).text();
    const fences = /^ *```(?:sh|bash|shell|console)[^\n]*\n([\s\S]*?)^ *```/gm;
    for (const { index, 1: text = "" } of document.matchAll(fences)) {
      const line = document.slice(0, index).split("\n").length;
      found.push({ place: `${path}:${line}`, text: text.trim() });
    }
  }
  return found;
}

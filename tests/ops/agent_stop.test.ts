/** How the agent ends, and the flags that scripts give to the Go agent. */

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAgentConfig } from "../../src/lib/agent_config.ts";
import { logLevelOf } from "../../src/lib/klog_flags.ts";
import { freePort } from "../../tools/ports.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { startAgent as startProcess } from "../harness/programs.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { configMap, isTrue, startAgent } from "../work/one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const folder = mkdtempSync(join(tmpdir(), "maestro-stop-"));

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 20_000);

test("W33: an agent that is told to stop finishes its pass and sends what came of it", async () => {
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap(`last-${uid}`, {})] });

  const unsent = await agent.finish(10_000);

  expect(unsent).toEqual([]);
  const last = agent.reports.findLast((report) => report.uid === uid);
  expect(last !== undefined && isTrue(last, "Applied", 1)).toBeTrue();
});

test("W33: what cannot be sent while it stops is told by id, after a limited time", async () => {
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  agent.isServerAway = true;
  await agent.send(uid, 1, { manifests: [configMap(`unsent-${uid}`, {})] });

  const unsent = await agent.finish(500);

  expect(unsent).toEqual([uid]);
});

test("W33: a report that failed and then succeeded is no longer waited for", async () => {
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  agent.isServerAway = true;
  await agent.send(uid, 1, { manifests: [configMap(`again-${uid}`, {})] });
  const ref = await refOf(kube, "v1", "ConfigMap", `again-${uid}`);
  await eventually(() => kube.get(ref), (object) => object !== undefined);
  // Time for an attempt that fails.
  await Bun.sleep(300);
  agent.isServerAway = false;
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  expect(await agent.finish(5_000)).toEqual([]);
});

function start(consumerName: string, args: string[]) {
  return startProcess({
    kubeconfig: cluster.kubeconfig,
    server: `127.0.0.1:${freePort()}`,
    ...{ consumerName, args, isFromSource: true },
  });
}

test("W33: a signal ends an agent in order with 0, even without a server", async () => {
  const agent = await start("signalled", []);

  expect(await agent.kill("SIGTERM")).toBe(0);

  expect(agent.log()).toContain('"message":"stopping","reason":"SIGTERM"');
});

test("W33: a second signal ends a program at once, whatever it still has to do", async () => {
  const program = [
    `import { untilSignal } from ${JSON.stringify(join(import.meta.dir, "../../src/program.ts"))};`,
    "setTimeout(() => console.log('ready'));",
    "console.log(await untilSignal());",
    "await new Promise((resolve) => setTimeout(resolve, 600_000));",
  ];
  const child = Bun.spawn([process.execPath, "-e", program.join("\n")], {
    stdout: "pipe",
    // Should the second signal not end it.
    ...{ timeout: 4_000, killSignal: "SIGKILL" },
  });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  expect((await lines.read()).value).toBe("ready\n");

  child.kill("SIGTERM");
  expect((await lines.read()).value).toBe("SIGTERM\n");
  child.kill("SIGTERM");

  await child.exited;
  expect(child.signalCode).toBe("SIGTERM");
});

test("W33: an agent ends when one of the files it was told of changes", async () => {
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  await Promise.all([Bun.write(one, "1"), Bun.write(other, "1")]);
  const files = [`--terminate-on-files=${one}`, `--terminate-on-files=${other}`];
  const agent = await start("filed", files);

  await Bun.write(one, "2");

  expect(await agent.exited).toBe(0);
  expect(agent.log()).toContain("a file of --terminate-on-files has changed");
}, 30_000);

test("every flag of the Go agent is taken, with its default or a word on what it means here", () => {
  const config = parseAgentConfig([
    ...["--consumer-name=c1", "--workload-source-driver=mqtt"],
    ...["--workload-source-config=/spoke/config.yaml", "--cloudevents-client-id=c1-work-agent"],
    ...["--cloudevents-client-codecs=manifestbundle", "--status-sync-interval=10s"],
    ...["--appliedmanifestwork-eviction-grace-period=60m", "--max-json-raw-length=1024"],
    ...["--max-feedback-watch=50", "--workload-agent-workers=10", "--kube-api-qps=50"],
    ...["--kube-api-burst=100", "--disable-leader-election=false", "--kubeconfig=/k"],
    ...["--namespace=maestro", "--listen=0.0.0.0:8443", "--config=/config.yaml"],
    ...["--terminate-on-files=/a", "--terminate-on-files=/b,/c", "-v=2", "--alsologtostderr"],
    ...["--log_dir=/tmp", "--vmodule=a=4", "--logtostderr=true", "--skip_headers", "-v", "5"],
  ], {});

  expect(config["terminate-on-files"]).toEqual(["/a", "/b", "/c"]);
  expect(config.listen).toEqual({ hostname: "0.0.0.0", port: 8443 });
  expect(config["log-dir"]).toBe("/tmp");
  expect([config.v, logLevelOf(config["log-level"], config.v)]).toEqual([5, "debug"]);
});

test("the defaults of an election are those of the Go agent", () => {
  const config = parseAgentConfig(["--consumer-name=c1", "--server=a:1"], {});

  expect([
    config["leader-election-lease-duration"],
    config["leader-election-renew-deadline"],
    config["leader-election-retry-period"],
    config["leader-election-resource-name"],
    config["disable-leader-election"],
    logLevelOf(config["log-level"], config.v),
  ]).toEqual([137_000, 107_000, 26_000, "maestro-agent-lock", true, "info"]);
});

test("an election whose times do not fit is refused", () => {
  const args = ["--consumer-name=c1", "--server=a:1", "--leader-election-renew-deadline=137s"];

  expect(() => parseAgentConfig(args, {})).toThrow("--leader-election-lease-duration must be more");
});

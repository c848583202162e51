/** Kills a test's API server and starts it again with the same data. */

import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { refOf } from "../kube/objects.ts";
import { eventually } from "./eventually.ts";
import type { Kubernetes } from "./kubernetes.ts";

/** Kills the API server, and returns what starts it again with the same data. */
export async function killApiServer(
  cluster: Kubernetes,
  kube: Kube,
): Promise<() => Promise<void>> {
  const pidFile = join(cluster.directory, "kube-apiserver.pid");
  const pid = Number(readFileSync(pidFile, "utf8"));
  const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  const cwd = readlinkSync(`/proc/${pid}/cwd`);
  process.kill(pid, "SIGKILL");
  await eventually(() => isDead(pid));
  const start = () => {
    const child = Bun.spawn(["setpriv", "--pdeathsig", "KILL", ...command], {
      cwd,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    // Whoever ends the cluster ends this one, too.
    writeFileSync(pidFile, `${child.pid}\n`);
    return child;
  };
  return async () => {
    const { type } = await refOf(kube, "v1", "ConfigMap");
    let child = start();
    await eventually(
      async () => {
        // As a kubelet does: its port may be somebody's for a moment.
        if (child.exitCode !== null || child.signalCode !== null) child = start();
        return await kube.list(type, "default");
      },
      () => true,
      { timeoutMs: 60_000, intervalMs: 200 },
    );
  };
}

function isDead(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

/** The cluster of the demo: yours, a local API server, or a simulated one. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./ports.ts";

export interface DemoCluster {
  /** How the agent reaches it. */
  agentFlags: string[];
  /** A command line to look at it, if there is something to look at. */
  kubectl: string | undefined;
}

export interface ClusterOptions {
  root: string;
  state: string;
  kubeconfig: string | undefined;
  say: (line: string) => void;
}

/** Chooses the best that is there, and says which. */
export async function startDemoCluster(
  stack: AsyncDisposableStack,
  { root, state, kubeconfig, say }: ClusterOptions,
): Promise<DemoCluster> {
  if (kubeconfig !== undefined) {
    say(`The cluster is the current context of ${kubeconfig}`);
    return {
      agentFlags: ["--kubeconfig", kubeconfig],
      kubectl: `kubectl --kubeconfig ${kubeconfig}`,
    };
  }
  const programs = await builtPrograms(root);
  if (programs === undefined) {
    say(
      "The cluster is simulated: nothing runs in it. For a real local API server: bun run kube:build",
    );
    say("For your own cluster: bun run demo --kubeconfig");
    return { agentFlags: ["--simulate", "1"], kubectl: undefined };
  }
  const directory = join(state, "kubernetes");
  await rm(directory, { recursive: true, force: true });
  const port = String(freePort());
  const child = Bun.spawn(
    ["bash", join(root, "kube/up.sh"), "--pods", "--hold", directory, port],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe", detached: true },
  );
  stack.defer(async () => {
    await child.stdin.end();
    await child.exited;
    await rm(directory, { recursive: true, force: true });
  });
  const complaints = new Response(child.stderr).text();
  // Its first line says that everything is ready; a failed start closes the stream without one.
  const { value } = await child.stdout.getReader().read();
  if (value === undefined) throw new Error(`the API server did not start: ${await complaints}`);
  say(`The cluster is a local API server with controllers and played pods, in ${directory}`);
  const file = join(directory, "kubeconfig");
  return {
    agentFlags: ["--kubeconfig", file],
    kubectl: `${join(programs, "kubectl")} --kubeconfig ${file}`,
  };
}

/** The folder of the API server's programs, if they are built. */
async function builtPrograms(root: string): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  const child = Bun.spawn(["bash", join(root, "kube/build.sh"), "--print"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  const folder = (await child.stdout.text()).trim();
  return await child.exited === 0 ? folder : undefined;
}

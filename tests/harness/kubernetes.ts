/** A real Kubernetes API server on a free port, for the tests of one file. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../tools/ports.ts";

export interface Kubernetes extends AsyncDisposable {
  url: string;
  /** The path of the administrator's kubeconfig, with a token. */
  kubeconfig: string;
  /** Certificates, logs and more kubeconfig files: see `kube/README.md`. Removed in the end. */
  directory: string;
}

export interface KubernetesOptions {
  /** Deployments, Jobs, namespaces and garbage collection work. */
  controllers?: boolean;
  /** Pods run, too, as far as anybody can tell. */
  pods?: boolean;
  /** More flags of kube-apiserver; file names are relative to the directory. */
  flags?: string[];
  /** Files to write into the directory before the start, such as an audit policy. */
  files?: Record<string, string>;
}

const REPOSITORY = join(import.meta.dir, "..", "..");

/** Another process may take a free port before the API server does. */
const ATTEMPTS_MAX = 3;

/**
 * Starts etcd, an API server and what else was asked for; three to five seconds.
 *
 * The servers end when it is disposed, and also when this process dies: they live no longer than the
 * pipe that it holds.
 */
export async function startKubernetes(options: KubernetesOptions = {}): Promise<Kubernetes> {
  for (let attempt = 1;; attempt++) {
    const directory = await mkdtemp(join(tmpdir(), "maestro-kube-"));
    try {
      return await startIn(directory, options);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      if (attempt === ATTEMPTS_MAX || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function startIn(directory: string, options: KubernetesOptions): Promise<Kubernetes> {
  const port = freePort();
  for (const [name, text] of Object.entries(options.files ?? {})) {
    await Bun.write(join(directory, name), text);
  }
  const parts = options.pods ? ["--pods"] : options.controllers ? ["--controllers"] : [];
  const script = join(REPOSITORY, "kube", "up.sh");
  const child = Bun.spawn(
    ["bash", script, ...parts, "--hold", directory, String(port), ...(options.flags ?? [])],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  const complaints = new Response(child.stderr).text();
  // Its first line says that everything is ready; a failed start closes the stream without one.
  const { value } = await child.stdout.getReader().read();
  if (value === undefined) {
    await child.exited;
    throw new Error(`Cannot start Kubernetes: ${await complaints}`);
  }
  return {
    url: `https://127.0.0.1:${port}`,
    kubeconfig: join(directory, "kubeconfig"),
    directory,
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      await child.exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What it takes to talk to a Kubernetes API: where it is, whom we trust, who we are. */

import { join } from "node:path";
import { MaestroError } from "../errors.ts";
import { isInCluster, readInClusterAccess } from "./in_cluster.ts";
import { readKubeconfig } from "./kubeconfig.ts";

export interface KubeAccess {
  /** The URL of the API server, without a slash at its end. */
  server: string;
  trust: Trust;
  /** The namespace of the context or of the pod. */
  namespace: string;
  /**
   * The credentials for the next call. `refused` are those that the server has just turned down: files are
   * read and programs run again, unless that has happened in the meantime.
   */
  credentials(refused?: Credentials): Promise<Credentials>;
}

/** How the server's certificate is checked. */
export interface Trust {
  /** PEM; without it the certificates that the system trusts. */
  ca?: string;
  /** The same as it is now, if it is in a file: a cluster may get another. `again` reads it whatever its age. */
  readCa?: (again?: "again") => Promise<string>;
  serverName?: string;
  isInsecure?: boolean;
}

/** Either or both of a header and a client certificate; nothing for an anonymous caller. */
export interface Credentials {
  authorization?: string;
  certificate?: { cert: string; key: string };
}

/** The environment as a program was given it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the Kubernetes API as kubectl does: the kubeconfig file that was named, `$KUBECONFIG`, the pod's own service
 * account, `~/.kube/config`.
 */
export async function findKubeAccess(
  named: { kubeconfig?: string; context?: string },
  env: Environment,
): Promise<KubeAccess> {
  const { kubeconfig, context } = named;
  if (kubeconfig) return await readKubeconfig([kubeconfig], env, { context });
  const listed = (env["KUBECONFIG"] ?? "").split(":").filter((path) => path !== "");
  if (listed.length > 0) return await readKubeconfig(listed, env, { context, mayLack: "some" });
  if (isInCluster(env)) return await readInClusterAccess(env);
  const home = join(env["HOME"] ?? "", ".kube", "config");
  if (await Bun.file(home).exists()) return await readKubeconfig([home], env, { context });
  throw new MaestroError(
    "invalid_argument",
    `Cannot find a Kubernetes API: --kubeconfig is not set, nor KUBECONFIG, "${home}" does not exist, and ` +
      "this is not a pod",
  );
}

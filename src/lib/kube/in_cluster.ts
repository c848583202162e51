/** How a pod reaches the API of its own cluster: the service account that Kubernetes mounts into it. */

import { join } from "node:path";
import { existsSync } from "node:fs";
import type { Environment, KubeAccess } from "./access.ts";
import { freshFile, readText } from "./fresh_file.ts";

const MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** True in a pod that has a service account. */
export function isInCluster(env: Environment, mount = MOUNT): boolean {
  return !!env["KUBERNETES_SERVICE_HOST"] && existsSync(join(mount, "token"));
}

/** The access of the pod's service account. Its token is replaced every hour or so, hence read again and again. */
export async function readInClusterAccess(env: Environment, mount = MOUNT): Promise<KubeAccess> {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const token = freshFile(join(mount, "token"));
  const ca = freshFile(join(mount, "ca.crt"));
  const namespace = join(mount, "namespace");
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    trust: { ca: await ca.read(), readCa: ca.read },
    namespace: existsSync(namespace) ? await readText(namespace) : "default",
    async credentials(refused) {
      return { authorization: `Bearer ${await token.read(refused && "again")}` };
    },
  };
}

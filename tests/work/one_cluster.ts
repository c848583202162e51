/** What tests of an API server in trouble share: the objects of a cluster, and agents behind a proxy. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientOptions } from "../../src/lib/kube/client.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf, textOf } from "../../src/lib/work/work.ts";
import type { KubeProxy } from "../harness/kube_proxy.ts";
import type { Kubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { type AgentUnderTest, startAgent } from "./one_agent.ts";

/** An agent of its own behind a proxy of its own. */
export async function startBehind(
  cluster: Kubernetes,
  proxy: KubeProxy,
  options: ClientOptions = {},
): Promise<AgentUnderTest> {
  const path = join(cluster.directory, `kubeconfig-${crypto.randomUUID()}`);
  const text = readFileSync(cluster.kubeconfig, "utf8").replace(cluster.url, proxy.url);
  writeFileSync(path, text);
  return await startAgent(await openKubeconfig(path, options), { hub: crypto.randomUUID() });
}

interface OnCluster {
  uidOf(ref: ObjectRef): Promise<string>;
  configMapIn(namespace: string, name: string): Promise<ObjectRef>;
  newNamespace(): Promise<string>;
  /** The data of the ConfigMaps of a namespace by name, but what Kubernetes puts into each. */
  contents(namespace: string): Promise<Record<string, unknown>>;
  removeObject(ref: ObjectRef): Promise<void>;
}

/** What the tests of one cluster do with it. */
export function onCluster(kube: Kube): OnCluster {
  const uidOf = async (ref: ObjectRef) => textOf(metadataOf(await kube.get(ref)), "uid");
  const configMapIn = async (namespace: string, name: string): Promise<ObjectRef> => ({
    ...await refOf(kube, "v1", "ConfigMap", name),
    namespace,
  });
  return {
    uidOf,
    configMapIn,
    async newNamespace() {
      const ref = await refOf(kube, "v1", "Namespace");
      const metadata = { name: ref.name, labels: { name: ref.name } };
      await kube.create(ref, { apiVersion: "v1", kind: "Namespace", metadata }, WRITER);
      return ref.name;
    },
    async contents(namespace) {
      const { type } = await configMapIn(namespace, "x");
      const { items } = await kube.list(type, namespace);
      const named = items.map((item) => [textOf(metadataOf(item), "name"), item["data"]] as const);
      return Object.fromEntries(named.filter(([name]) => name !== "kube-root-ca.crt").sort());
    },
    async removeObject(ref) {
      await kube.delete(ref, { uid: await uidOf(ref), propagationPolicy: "Background" });
    },
  };
}

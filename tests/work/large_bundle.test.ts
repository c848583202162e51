/** As many objects in one bundle as a bundle may have bytes. */

import { afterAll, expect, test } from "bun:test";
import { eventually } from "../harness/eventually.ts";
import { startKubeProxy } from "../harness/kube_proxy.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig } from "../kube/objects.ts";
import { isTrue } from "./one_agent.ts";
import { onCluster, startBehind } from "./one_cluster.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const { configMapIn, contents, newNamespace, removeObject } = onCluster(kube);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

test(
  "W26: a bundle of 5,000 objects is applied, watched by one stream, healed and pruned",
  async () => {
    const namespace = await newNamespace();
    await using proxy = startKubeProxy(cluster.url);
    await using agent = await startBehind(cluster, proxy);
    const uid = crypto.randomUUID();
    const manifests = Array.from({ length: 5_000 }, (_, n) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: `c${n}`, namespace },
    }));
    const wait = { timeoutMs: 120_000 };

    await agent.send(uid, 1, { manifests });

    await eventually(
      () => agent.reports.findLast((report) => report.uid === uid),
      (report) => report !== undefined && isTrue(report, "Available", 1),
      wait,
    );
    const count = async () => Object.keys(await contents(namespace)).length;
    expect(await count()).toBe(5_000);
    const own = proxy.calls.filter(({ path, isWatch }) => isWatch && path.includes(namespace));
    expect(own.length).toBeLessThan(10);
    await removeObject(await configMapIn(namespace, "c4321"));
    await eventually(count, (found) => found === 5_000, { ...wait, intervalMs: 500 });
    await agent.send(uid, 2, { manifests: manifests.slice(0, 4_990) });
    await eventually(count, (found) => found === 4_990, { ...wait, intervalMs: 500 });
  },
  300_000,
);

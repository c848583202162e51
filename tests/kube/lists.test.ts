/** Watches that begin with all objects there are, on servers that can and on one that cannot. */

import { expect, test } from "bun:test";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { configMap, metadata, newName, openKubeconfig, refOf, WRITER } from "./objects.ts";

/** More than two pages of a list. */
const OBJECTS = 1_100;

test.each(["a server", "a server that cannot begin a watch so", "a simulated cluster"])(
  "a watch of %s begins with all objects, says so, and goes on",
  async (which) => {
    await using stack = new AsyncDisposableStack();
    const kube = await open(which, stack);
    const { type } = await refOf(kube, "v1", "ConfigMap");
    const names = Array.from({ length: OBJECTS }, () => newName());
    const left = names.values();
    await Promise.all(Array.from({ length: 16 }, async () => {
      for (const name of left) {
        const ref = { type, namespace: "default", name };
        await kube.create(ref, configMap(ref), WRITER);
      }
    }));
    const [first = "", second = ""] = names;
    const stop = new AbortController();
    const told: string[] = [];
    const reading = (async () => {
      const options = { metadataOnly: true, signal: stop.signal };
      for await (const event of kube.watch(type, "default", options)) {
        if (event.isInitialEnd) told.push("end");
        else if (event.type !== "BOOKMARK") {
          told.push(`${event.type} ${metadata(event.object)["name"]}`);
        }
      }
    })();
    await eventually(() => told.includes("end"), Boolean, { timeoutMs: 30_000 });
    const beginning = told.slice(0, told.indexOf("end"));
    const seen = beginning.filter((text) => !text.endsWith("kube-root-ca.crt"));

    const ref = { type, namespace: "default", name: first };
    await kube.patch(ref, { data: { a: "2" } }, { ...WRITER, type: "merge" });
    const gone = { ...ref, name: second };
    const { uid = "" } = metadata(await kube.get(gone));
    await kube.delete(gone, { uid, propagationPolicy: "Background" });

    await eventually(() => told.at(-1), (text) => text === `DELETED ${second}`);
    expect(seen.sort()).toEqual(names.map((name) => `ADDED ${name}`).sort());
    expect(told.at(-2)).toBe(`MODIFIED ${first}`);
    stop.abort();
    await reading;
  },
  120_000,
);

async function open(which: string, stack: AsyncDisposableStack): Promise<Kube> {
  if (which === "a simulated cluster") return createSimulatedKube();
  const flags = which === "a server" ? [] : ["--feature-gates", "WatchList=false"];
  const cluster: Kubernetes = stack.use(await startKubernetes({ flags }));
  return await openKubeconfig(cluster.kubeconfig);
}

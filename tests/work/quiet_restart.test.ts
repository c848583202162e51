/** What a restarted agent reads of a cluster where nothing has changed, and where something has. */

import { afterAll, expect, test } from "bun:test";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { metadataOf, textOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { configMap, feedbackOf, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const plain = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

/** The same API, and the names of the objects that were read by themselves. */
function counted(): { kube: Kube; reads: string[] } {
  const reads: string[] = [];
  const kube: Kube = {
    ...plain,
    get(ref) {
      reads.push(ref.name);
      return plain.get(ref);
    },
  };
  return { kube, reads };
}

test(
  "a restarted agent reads no object that is as it was, and reports what rules read all the same",
  async () => {
    const uid = crypto.randomUUID();
    const names = Array.from({ length: 50 }, (_, n) => `c${n}-${uid}`);
    const [first = ""] = names;
    const spec = {
      manifests: names.map((name) => configMap(name, { a: "1" })),
      manifestConfigs: [{
        resourceIdentifier: {
          group: "",
          resource: "configmaps",
          name: first,
          namespace: "default",
        },
        feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "a", path: ".data.a" }] }],
      }],
    };
    {
      await using agent = await startAgent(plain);
      await agent.send(uid, 1, spec);
      await agent.until(uid, (report) => isTrue(report, "Available", 1));
    }
    const [ref, gone] = await Promise.all(
      names.slice(1, 3).map((name) => refOf(plain, "v1", "ConfigMap", name)),
    ) as [Awaited<ReturnType<typeof refOf>>, Awaited<ReturnType<typeof refOf>>];
    const { kube, reads } = counted();

    await using agent = await startAgent(kube);
    await agent.send(uid, 1, spec, { action: "resync_response" });
    // Asked for, it is told as soon as it is known.
    await agent.ask(uid, "forgotten");

    const report = await agent.until(uid, (report) => report.status.resourceStatus?.length === 50);
    expect(feedbackOf(report)[0]?.fieldValue.string).toBe("1");
    const own = (name: string) => name.endsWith(uid) && names.includes(name) && name !== first;
    expect(reads.filter(own)).toEqual([]);
    await plain.patch(ref, { data: { a: "theirs" } }, { ...WRITER, type: "merge" });
    await plain.delete(gone, {
      uid: textOf(metadataOf(await plain.get(gone)), "uid"),
      propagationPolicy: "Background",
    });
    for (const each of [ref, gone]) {
      await eventually(
        async () => (await plain.get(each))?.["data"],
        (found) => Bun.deepEquals(found, { a: "1" }),
      );
    }
  },
  20_000,
);

test(
  "what others changed or removed while no agent ran is set right when one runs again",
  async () => {
    const uid = crypto.randomUUID();
    const [changed, removed] = await Promise.all(
      ["changed", "removed"].map((name) => refOf(plain, "v1", "ConfigMap", `${name}-${uid}`)),
    ) as [Awaited<ReturnType<typeof refOf>>, Awaited<ReturnType<typeof refOf>>];
    const spec = { manifests: [changed, removed].map(({ name }) => configMap(name, { a: "1" })) };
    {
      await using agent = await startAgent(plain);
      await agent.send(uid, 1, spec);
      await agent.until(uid, (report) => isTrue(report, "Available", 1));
    }
    await plain.patch(changed, { data: { a: "theirs" } }, { ...WRITER, type: "merge" });
    const live = textOf(metadataOf(await plain.get(removed)), "uid");
    await plain.delete(removed, { uid: live, propagationPolicy: "Background" });

    await using agent = await startAgent(plain);
    await agent.send(uid, 1, spec, { action: "resync_response" });

    for (const ref of [changed, removed]) {
      await eventually(
        async () => (await plain.get(ref))?.["data"],
        (found) => Bun.deepEquals(found, { a: "1" }),
      );
    }
  },
  20_000,
);

/** Objects that a work no longer has, and that stay all the same: somebody else wants them, or its source does. */

import { afterAll, expect, test } from "bun:test";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig } from "../kube/objects.ts";
import { configMap, isTrue, startAgent } from "./one_agent.ts";
import { maps, ownedMaps } from "./owned_maps.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const { ownersOf, uidOf } = ownedMaps(kube);

test("I6: an object that another work takes while this one is about to delete it stays", async () => {
  const name = `taken-${crypto.randomUUID()}`;
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held: Kube = {
    ...kube,
    async delete(ref, options) {
      if (ref.name === name) {
        reached.resolve();
        await released.promise;
      }
      return await kube.delete(ref, options);
    },
  };
  await using agent = await startAgent(held);
  const [giver, taker] = [maps("giver"), maps("taker")];
  const shared = configMap(name, {});
  await agent.send(giver.uid, 1, { manifests: [...giver.spec.manifests, shared] });
  await agent.until(giver.uid, (report) => isTrue(report, "Applied", 1));
  const before = await uidOf(name);
  await agent.send(giver.uid, 2, giver.spec);
  await reached.promise;

  await agent.send(taker.uid, 1, { manifests: [...taker.spec.manifests, shared] });
  await agent.until(taker.uid, (report) => isTrue(report, "Applied", 1));
  released.resolve();

  await agent.until(giver.uid, (report) => isTrue(report, "Applied", 2));
  await eventually(() => ownersOf(name), (owners) => owners.length === 1);
  expect(await uidOf(name)).toBe(before);
});

/** Works whose source counts no versions: what is sent last is what is wanted. */

import { expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { eventually } from "../harness/eventually.ts";
import { refOf } from "../kube/objects.ts";
import { configMap, isTrue, startAgent } from "./one_agent.ts";

test("A86: a resource of version 0 is created, changed, reported and deleted like any other", async () => {
  const kube = createSimulatedKube();
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", "unversioned");
  const contents = async () => (await kube.get(ref))?.["data"];

  await agent.send(uid, 0, { manifests: [configMap(ref.name, { a: "1" })] });
  const first = await agent.until(uid, (report) => isTrue(report, "Applied"));
  await agent.send(uid, 0, { manifests: [configMap(ref.name, { a: "2" })] });
  await eventually(contents, (found) => Bun.deepEquals(found, { a: "2" }));
  await agent.delete(uid, 0);

  expect(first.version).toBe(0);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await contents()).toBeUndefined();
});

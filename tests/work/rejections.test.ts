/** What no agent can apply: refused as a whole, in words that reach its source. No cluster is asked. */

import { afterAll, expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { eventually } from "../harness/eventually.ts";
import { conditionOf, configMap, type Report, startAgent } from "./one_agent.ts";

const kube = createSimulatedKube();
const agent = await startAgent(kube);

afterAll(async () => await agent[Symbol.asyncDispose]());

const nameless = { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "default" } };
const generated = { ...nameless, metadata: { ...nameless.metadata, generateName: "x-" } };
/** 512,000 bytes are allowed. */
const large = configMap("large", { a: "x".repeat(512_000) });

test.each([
  ["A104: a work without manifests", [], "Workload manifests should not be empty"],
  ["A105: a manifest without a name", [nameless], "manifests[0]: metadata.name is missing"],
  ["a manifest that has the cluster invent its name", [generated], "metadata.name is missing"],
  ["A109: a work that is too large for peers", [large], /^the size of manifests is 512\d{3} bytes/],
])("%s is refused for its version", async (_, manifests, reason) => {
  const uid = crypto.randomUUID();

  await agent.send(uid, 3, { manifests });

  const report = await agent.until(uid, () => true);
  const applied = conditionOf(report, "Applied");
  expect(applied).toMatchObject({
    status: "False",
    reason: "InvalidManifest",
    observedGeneration: 3,
  });
  const found = applied?.message.replace("The manifests are invalid: ", "") ?? "";
  if (typeof reason === "string") expect(found).toContain(reason);
  else expect(found).toMatch(reason);
});

test("A108: an update to something invalid is refused for its version, and what was applied stays", async () => {
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap(uid, { a: "1" })] });
  await agent.until(uid, (report) => conditionOf(report, "Applied")?.status === "True");

  await agent.send(uid, 2, { manifests: [nameless] });

  const report = await agent.until(uid, ({ version }) => version === 2);
  expect(conditionOf(report, "Applied")).toMatchObject({ status: "False", observedGeneration: 2 });
  const type = await kube.resolve("v1", "ConfigMap");
  if (type === undefined) throw new Error("ConfigMaps are served");
  expect(await kube.get({ type, namespace: "default", name: uid })).toBeDefined();
});

test("a refused version that is sent again is refused again, for a server that has not heard of it", async () => {
  const uid = crypto.randomUUID();
  const refusals = () => agent.reports.filter((report) => report.uid === uid);
  await agent.send(uid, 1, { manifests: [nameless] });
  await eventually(refusals, ({ length }) => length === 1);

  await agent.send(uid, 1, { manifests: [nameless] });

  await eventually(refusals, ({ length }) => length === 2);
  expect(conditionOf(refusals()[1] as Report, "Applied")?.reason).toBe("InvalidManifest");
});

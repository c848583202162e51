/** An agent that hears of its works in several ways at once. */

import { expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { configMap, isTrue, startAgent } from "./one_agent.ts";

test("A88: a source that has forgotten its statuses is told all that it asks for, and nothing it knows", async () => {
  await using agent = await startAgent(createSimulatedKube());
  const works = [crypto.randomUUID(), crypto.randomUUID()] as const;
  for (const uid of works) {
    await agent.send(uid, 1, { manifests: [configMap(uid, { a: "1" })] });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }
  const before = agent.reports.length;

  for (const uid of works) await agent.ask(uid, "forgotten");

  const answers = await eventually(() => agent.reports.slice(before), ({ length }) => length === 2);
  expect(answers.map(({ uid }) => uid).sort()).toEqual([...works].sort());
  for (const answer of answers) {
    expect(answer.type).toEndWith(".status.resync_response");
    expect(isTrue(answer, "Available", 1)).toBeTrue();
    await agent.ask(answer.uid, String(answer.event.extensions["statushash"]));
  }
  await agent.ask(works[0], "forgotten");
  await eventually(() => agent.reports.length, (length) => length === before + 3);
});

test("A90: a spec that comes as an event and as an answer at the same time is applied once", async () => {
  const plain = createSimulatedKube();
  const made: string[] = [];
  const kube: Kube = {
    ...plain,
    create(ref, object, options) {
      made.push(ref.name);
      return plain.create(ref, object, options);
    },
  };
  await using agent = await startAgent(kube);
  const uid = crypto.randomUUID();
  const spec = { manifests: [configMap(`one-${uid}`, { a: "1" })] };

  await Promise.all([
    agent.send(uid, 1, spec),
    agent.send(uid, 1, spec, { action: "resync_response" }),
    agent.send(uid, 1, spec, { action: "update_request" }),
  ]);

  const report = await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(report.status.resourceStatus).toHaveLength(1);
  expect(made.filter((name) => name === `one-${uid}`)).toHaveLength(1);
});

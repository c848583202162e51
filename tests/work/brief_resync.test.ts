/** When an agent says in one word what it holds, and when it lists it. No cluster is asked. */

import { expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { EXT, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { versionDigest } from "../../src/lib/wire/status_hash.ts";
import { type AgentUnderTest, configMap, isTrue, startAgent } from "./one_agent.ts";

const READ_AT = "2026-01-02T03:04:05.678901Z";

/** Applies a work; a server of ours says when its database said so. */
async function apply(agent: AgentUnderTest, uid: string, version: number, readAt?: string) {
  const spec = { manifests: [configMap(uid, { version: String(version) })] };
  await agent.send(uid, version, spec, readAt === undefined ? {} : { readAt });
  await agent.until(uid, (report) => isTrue(report, "Applied", version));
}

const last = ({ requests }: AgentUnderTest) => requests.at(-1)?.extensions ?? {};

test("after a reconnect a server of ours is told a digest, and a list only if it wants one", async () => {
  await using agent = await startAgent(createSimulatedKube());
  const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
  await apply(agent, one, 1, READ_AT);
  await apply(agent, other, 3, READ_AT);

  await agent.reconnect();

  const held = [{ resourceId: one, version: 1 }, { resourceId: other, version: 3 }];
  expect(last(agent)[EXT.versionDigest]).toBe(versionDigest(held));
  expect(last(agent)[EXT.statusDigest]).toBeString();
  expect(agent.resyncs.at(-1)).toEqual([]);

  await agent.receive({
    id: crypto.randomUUID(),
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.status.resync_request`,
    extensions: { clustername: "cluster1", originalsource: "", listwanted: "true" },
    data: '{"statusHashes":[{"resourceID":"-"}]}',
  });

  expect(last(agent)[EXT.versionDigest]).toBeUndefined();
  expect(agent.resyncs.at(-1)).toEqual(held);
});

test("a digest says what was held before the connection, not what it has just brought", async () => {
  await using agent = await startAgent(createSimulatedKube());
  const uid = crypto.randomUUID();
  await apply(agent, uid, 1, READ_AT);
  const spec = { manifests: [configMap(uid, { version: "2" })] };

  await agent.reconnect(() => agent.send(uid, 2, spec, { readAt: READ_AT }));

  expect(last(agent)[EXT.versionDigest]).toBe(versionDigest([{ resourceId: uid, version: 1 }]));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  await agent.reconnect();

  expect(last(agent)[EXT.versionDigest]).toBe(versionDigest([{ resourceId: uid, version: 2 }]));
});

test("a Go server is told the list, also one that took the place of ours", async () => {
  await using agent = await startAgent(createSimulatedKube());
  const uid = crypto.randomUUID();
  await apply(agent, uid, 1);

  await agent.reconnect();

  expect(agent.resyncs.at(-1)).toEqual([{ resourceId: uid, version: 1 }]);

  await apply(agent, uid, 2, READ_AT);
  await apply(agent, uid, 3);
  await agent.reconnect();

  expect(agent.resyncs.at(-1)).toEqual([{ resourceId: uid, version: 3 }]);
});

test("an agent that lacks a spec since a restart lists what it holds", async () => {
  const kube = createSimulatedKube();
  const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
  {
    await using agent = await startAgent(kube);
    await apply(agent, one, 1, READ_AT);
    await apply(agent, other, 1, READ_AT);
  }
  await using agent = await startAgent(kube);
  await apply(agent, one, 2, READ_AT);

  await agent.reconnect();

  expect(last(agent)[EXT.versionDigest]).toBeUndefined();
  expect(agent.resyncs.at(-1)?.find(({ resourceId }) => resourceId === other))
    .toMatchObject({ version: 1, lacksSpec: true });
});

test("a question that a connection did not carry is asked on the next one, though its broker kept the session", async () => {
  await using agent = await startAgent(createSimulatedKube());
  await apply(agent, crypto.randomUUID(), 1);
  const asked = agent.resyncs.length;
  agent.isServerAway = true;
  // The session of before is lost, and so is the connection before anything is asked.
  await agent.reconnect().catch(() => {});
  agent.isServerAway = false;

  await agent.reconnect(undefined, { isKept: true });
  expect(agent.resyncs).toHaveLength(asked + 1);

  await agent.reconnect(undefined, { isKept: true });
  expect(agent.resyncs).toHaveLength(asked + 1);
});

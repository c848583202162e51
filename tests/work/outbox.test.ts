/** What the agent's outbox makes of questions that come while a report is on its way. */

import { expect, test } from "bun:test";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { parseEventType } from "../../src/lib/wire/event_type.ts";
import { createOutbox } from "../../src/lib/work/outbox.ts";
import { receiveSpec, type Works } from "../../src/lib/work/receive.ts";
import type { Work } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { testLogger } from "../harness/postgres.ts";
import { configMap } from "./one_agent.ts";

const UID = "a8e6f3df-1d2b-5ab0-b014-230f8642c9ca";

/** An open outbox with one settled work, whose reports end when the test says so. */
function openOutbox() {
  const works: Works = new Map();
  const event: CloudEvent = {
    id: "1",
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.spec.create_request`,
    extensions: { resourceid: UID, resourceversion: 1, clustername: "c1" },
    data: JSON.stringify({ manifests: [configMap("cm", { a: "1" })] }),
  };
  receiveSpec(works, { isLate: () => false }, event, parseEventType(event.type));
  const work = works.get(UID) as Work;
  work.isSettled = true;
  const sent: PromiseWithResolvers<void>[] = [];
  const outbox = createOutbox({
    works,
    reporter: { agentId: "a", consumerName: "c1", agentVersion: "0" },
    publish: () => {
      const report = Promise.withResolvers<void>();
      sent.push(report);
      return report.promise;
    },
    nextSequence: () => String(sent.length + 1),
    reported: () => {},
    ended: () => {},
    nowMs: Date.now,
    log: testLogger(),
  });
  outbox.open();
  return { work, sent, outbox, [Symbol.asyncDispose]: () => outbox[Symbol.asyncDispose]() };
}

type Box = ReturnType<typeof openOutbox>;

test("a question that comes while the report is on its way is answered by another", async () => {
  await using box = openOutbox();
  box.outbox.mark(UID, "urgent");
  await eventually(() => box.sent.length === 1);

  box.outbox.answer(UID);
  box.sent[0]?.resolve();
  await eventually(() => box.sent.length === 2);

  box.sent[1]?.resolve();
});

test("a spec that is repeated while its answer is on its way is answered once more", async () => {
  await using box = openOutbox();
  box.work.mustReport = true;
  box.outbox.mark(UID, "urgent");
  await eventually(() => box.sent.length === 1);

  box.work.mustReport = true;
  box.outbox.mark(UID, "urgent");
  box.sent[0]?.resolve();
  await eventually(() => box.sent.length === 2);

  box.sent[1]?.resolve();
});

test.each([
  ["an answer", (box: Box) => box.outbox.answer(UID)],
  ["a report that must be made", (box: Box) => {
    box.work.mustReport = true;
    box.outbox.mark(UID, "urgent");
  }],
])("%s that fails is sent again, though nothing has changed, and then no more", async (_, ask) => {
  await using box = openOutbox();
  box.outbox.mark(UID, "urgent");
  await eventually(() => box.sent.length === 1);
  box.sent[0]?.resolve();
  await eventually(() => box.work.reportedVersion === 1);

  ask(box);
  await eventually(() => box.sent.length === 2);
  box.sent[1]?.reject(new Error("the connection is gone"));
  await eventually(() => box.sent.length === 3);
  box.sent[2]?.resolve();

  await eventually(() => box.outbox.backlog().waiting === 0);
  box.outbox.mark(UID, "urgent");
  await eventually(() => box.outbox.backlog().running === 0);
  expect(box.sent).toHaveLength(3);
});

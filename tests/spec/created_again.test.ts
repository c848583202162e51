/** An id that is created again while its earlier life is still ending, or has not ended on the cluster. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { createReportAcceptor, readReport, type Report } from "../../src/lib/status/accept.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newResource, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

const report = (
  { consumer }: Specs,
  id: string,
  parts: { isDeleted?: boolean; version?: number } = {},
): Report => readReport(statusEvent({ id, consumerName: consumer, ...parts }), "maestro");

test("M15: what is created while the deletion of its id commits is not taken for its earlier life", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = createReportAcceptor(specs.db, log);
  const late = report(specs, id);
  await specs.acceptor.delete({ id });
  const confirmed = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const confirming = specs.db.begin(async (tx) => {
    await createReportAcceptor(tx as unknown as Db, log)(report(specs, id, { isDeleted: true }));
    confirmed.resolve();
    await leave.promise;
  });
  await confirmed.promise;

  const create = () =>
    specs.acceptor.create(newResource(specs.consumer, { id }))
      .then(() => "created", ({ code }) => String(code));
  // Without an answer it would wait for the other transaction.
  const early = await Promise.race([create(), Bun.sleep(3_000)]);
  leave.resolve();
  await confirming;

  expect([early, await create()]).toEqual(["conflict", "created"]);
  expect(await accept(late)).toBe("stale");
});

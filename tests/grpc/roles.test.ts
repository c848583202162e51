/** What a token's role lets a source change over gRPC: no more than over REST. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query } from "../../src/lib/db/query.ts";
import { createIssuer } from "../access/tokens.ts";
import { openDoors } from "../harness/doors.ts";
import { bundle, specEvent, statusResync } from "../harness/events.ts";
import { publish, refusal } from "../harness/grpc.ts";

/** The Go server refuses whom it does not authorize with this code. */
const UNKNOWN = 2;

test("M28: over gRPC a token changes what its role lets it change, and nothing else", async () => {
  const issuer = await createIssuer();
  const folder = mkdtempSync(join(tmpdir(), "maestro-roles-"));
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  const jwksFile = join(folder, "jwks.json");
  writeFileSync(jwksFile, issuer.jwks);
  await using doors = await openDoors({ jwksFile });
  const { sources } = doors;
  const consumerName = await doors.consumer();
  const as = async (...roles: string[]) => {
    return { authorization: `Bearer ${await issuer.sign({ sub: "somebody", roles })}` };
  };
  const viewer = await as("viewer");
  const mine = await as("source:mine");
  const of = (source: string, parts: object = {}) =>
    specEvent({ id: source, source, consumerName, ...parts });

  await publish(sources, of("mine"), mine);
  await publish(sources, of("yours"), await as());
  await publish(sources, of("theirs"), await as("admin", "viewer"));
  const change = { action: "update_request", data: bundle("2") };
  await publish(sources, of("mine", change), mine);
  const unauthorized = "unauthorized to publish the event from source";
  for (const parts of [{ id: "new" }, change, { action: "delete_request" }]) {
    expect(await refusal(sources, of("yours", parts), mine)).toEqual({
      code: UNKNOWN,
      details: `${unauthorized} yours: "somebody" may change only resources of source "mine"`,
    });
    expect(await refusal(sources, of("yours", parts), viewer)).toEqual({
      code: UNKNOWN,
      details: `${unauthorized} yours: "somebody" may only look`,
    });
  }
  expect((await refusal(sources, of("a"), await as("source:a", "source:b"))).details)
    .toContain("Cannot tell whose changes these are");
  // To ask what has become of resources changes none.
  await publish(sources, statusResync("yours", []), viewer);
  const text = "select id, version from resources where deleted_at is null order by id";
  expect(await query(doors.db, text, [])).toMatchObject([
    { id: "mine", version: 2 },
    { id: "theirs", version: 1 },
    { id: "yours", version: 1 },
  ]);
});

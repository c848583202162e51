/** Who may call over Connect and gRPC-Web: whoever may on REST. */

import { expect, test } from "bun:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { CloudEventService } from "../../../src/gen/cloudevent_pb.ts";
import { ResourceBundleService } from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { createAuthenticator } from "../../../src/lib/access/authenticate.ts";
import { transports } from "../../harness/connect.ts";
import { testLogger } from "../../harness/postgres.ts";
import { openWatchDoors } from "../../harness/watch.ts";

const TOKEN = "a".repeat(40);
const LIST = "maestro.v1.ResourceBundleService/List";

/** Doors that ask for the token, on REST's port and on that of sources. */
const openGuarded = () =>
  openWatchDoors({
    adminToken: TOKEN,
    authenticate: createAuthenticator({ adminToken: TOKEN, log: testLogger() }),
  });

/** The code of a refusal. */
const codeOf = (promise: Promise<unknown>) =>
  promise.then(() => "ok", (error) => Code[ConnectError.from(error).code]);

test("without a token nothing is answered, in the words of each protocol", async () => {
  await using doors = await openGuarded();

  for (const token of [undefined, "b".repeat(40), TOKEN]) {
    for (const transport of Object.values(transports(doors.rest, token))) {
      const bundles = createClient(ResourceBundleService, transport);
      const events = createClient(CloudEventService, transport);
      const first = (stream: AsyncIterable<unknown>) => stream[Symbol.asyncIterator]().next();
      const codes = [
        await codeOf(bundles.list({})),
        await codeOf(first(bundles.watch({}))),
        await codeOf(first(events.subscribe({ source: "tests" }))),
        await codeOf(events.publish({})),
      ];

      expect(codes).toEqual(
        token === TOKEN ? ["ok", "ok", "ok", "Unknown"] : codes.map(() => "Unauthenticated"),
      );
    }
  }
});

test("the cookie of REST is good here too, but not for what another site sends", async () => {
  await using doors = await openGuarded();
  const ask = async (headers: Record<string, string>, method = LIST) => {
    const type = { "Content-Type": "application/json", "Cookie": `cs_jwt=${TOKEN}` };
    const answer = await fetch(`${doors.rest}/${method}`, {
      method: "POST",
      headers: { ...type, ...headers },
      body: "{}",
    });
    return answer.status;
  };

  expect(await ask({})).toBe(200);
  expect(await ask({ "Sec-Fetch-Site": "same-origin" })).toBe(200);
  expect(await ask({ "Sec-Fetch-Site": "cross-site" })).toBe(403);
  // What the door for sources says of an empty event: it has let the cookie pass.
  expect(await ask({}, "io.cloudevents.v1.CloudEventService/Publish")).toBe(500);
});

test("who may not come in is refused before the request is read", async () => {
  await using doors = await openGuarded();
  const endless = new ReadableStream<Uint8Array>({
    // It never ends: whoever reads it to its end never answers.
    start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
  });

  const answer = await fetch(`${doors.rest}/${LIST}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: endless,
    signal: AbortSignal.timeout(10_000),
  });

  expect(answer.status).toBe(401);
});

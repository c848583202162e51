/** Who may call over Connect and gRPC-Web: whoever may on REST. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { CloudEventService, PublishRequestSchema } from "../../../src/gen/cloudevent_pb.ts";
import { ResourceBundleService } from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { createAuthenticator } from "../../../src/lib/access/authenticate.ts";
import { encodePublishRequest } from "../../../src/lib/wire/protobuf.ts";
import { encodeStructured } from "../../../src/lib/wire/structured.ts";
import { createIssuer } from "../../access/tokens.ts";
import { transports } from "../../harness/connect.ts";
import { specEvent } from "../../harness/events.ts";
import { publish } from "../../harness/grpc.ts";
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

test("M28: a token reads everything, and changes what its role lets it change", async () => {
  const issuer = await createIssuer();
  const folder = mkdtempSync(join(tmpdir(), "maestro-connect-"));
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  const file = join(folder, "jwks.json");
  writeFileSync(file, issuer.jwks);
  const authenticate = createAuthenticator({ jwks: { file }, log: testLogger() });
  await using doors = await openWatchDoors({ authenticate });
  const consumerName = await doors.consumer();
  const event = (source: string, id: string) => {
    const { event } = fromBinary(
      PublishRequestSchema,
      encodePublishRequest(specEvent({ id, source, consumerName })),
    );
    return { event };
  };
  const disguised = (source: string, id: string) => {
    const data = encodeStructured(specEvent({ id, source, consumerName }));
    const attr = { case: "ceString" as const, value: "application/cloudevents+json" };
    return {
      event: {
        ...{ id: "x", source: "mine", specVersion: "1.0", type: "x" },
        attributes: { contenttype: { attr } },
        data: { case: "binaryData" as const, value: new TextEncoder().encode(data) },
      },
    };
  };
  const outcomes = async (roles: string[]) => {
    const token = await issuer.sign({ sub: "somebody", roles });
    const transport = transports(doors.rest, token)["Connect in binary"];
    const bundles = createClient(ResourceBundleService, transport);
    const events = createClient(CloudEventService, transport);
    const id = crypto.randomUUID();
    const manifests = ['{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}'];
    const foreign = crypto.randomUUID();
    await publish(doors.sources, specEvent({ id: foreign, consumerName, source: "others" }));
    return {
      list: await codeOf(bundles.list({})),
      apply: await codeOf(bundles.apply({ id, consumerName, manifests })),
      source: await bundles.get({ id }).then((got) => got.resourceBundle?.source, () => ""),
      takeOver: await codeOf(bundles.apply({ id: foreign, consumerName, manifests })),
      remove: await codeOf(bundles.delete({ id: foreign })),
      publishOwn: await codeOf(events.publish(event("mine", crypto.randomUUID()))),
      publishOther: await codeOf(events.publish(event("others", crypto.randomUUID()))),
      disguise: await codeOf(events.publish(disguised("others", crypto.randomUUID()))),
    };
  };
  const [all, none] = ["ok", "PermissionDenied"];

  expect(await outcomes(["admin"])).toEqual({
    ...{ list: all, apply: all, source: "maestro", takeOver: all, remove: all },
    ...{ publishOwn: all, publishOther: all, disguise: all },
  });
  expect(await outcomes(["source:mine"])).toEqual({
    ...{ list: all, apply: all, source: "mine", takeOver: none, remove: none },
    ...{ publishOwn: all, publishOther: none, disguise: none },
  });
  expect(await outcomes(["viewer"])).toEqual({
    ...{ list: all, apply: none, source: "", takeOver: none, remove: none },
    ...{ publishOwn: none, publishOther: none, disguise: none },
  });
});

test("who may not come in is refused though the request never ends", async () => {
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

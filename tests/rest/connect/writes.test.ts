/** Apply and Delete over Connect: what they store, and what they refuse. */

import { expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ApplyResourceBundleResponse_Outcome as Outcome,
  Delivery_State,
} from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { bundleClient } from "../../harness/connect.ts";
import { specEvent, statusEvent } from "../../harness/events.ts";
import { publish } from "../../harness/grpc.ts";
import { openWatchDoors } from "../../harness/watch.ts";

/** The manifest of a ConfigMap. */
function manifest(value: string): string {
  return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"},` +
    `"data":{"value":"${value}"}}`;
}

/** The code and the words of a refusal. */
const refusal = (call: Promise<unknown>) =>
  call.then(() => "ok", (error) => {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]}: ${rawMessage}`;
  });

async function open() {
  const doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const client = bundleClient(doors.rest);
  const apply = async (id: string, value: string, rest: object = {}) => {
    const manifests = [manifest(value)];
    const { outcome, resourceBundle } = await client.apply({
      ...{ id, consumerName, manifests },
      ...rest,
    });
    return `${Outcome[outcome]} ${resourceBundle?.version}`;
  };
  return {
    ...{ doors, consumerName, client, apply },
    [Symbol.asyncDispose]: () => doors[Symbol.asyncDispose](),
  };
}

test("to apply creates, changes, and of the same changes nothing", async () => {
  await using road = await open();
  const { apply, client } = road;
  const options = {
    metadata: '{"labels":{"tier":"gold"}}',
    deleteOption: '{"propagationPolicy":"Orphan"}',
    manifestConfigs: [
      '{"resourceIdentifier":{"group":"","resource":"configmaps","name":"a","namespace":"default"},' +
      '"updateStrategy":{"type":"CreateOnly"}}',
    ],
    executor: '{"subject":{"type":"ServiceAccount","serviceAccount":{"namespace":"a","name":"b"}}}',
  };

  expect(await apply("web", "1", options)).toBe("CREATED 1");
  const { resourceBundle: read } = await client.get({ id: "web" });
  expect(await apply("web", "1", options)).toBe("UNCHANGED 1");
  // What was read can be sent back.
  const { metadata = "", manifestConfigs = [], deleteOption = "", executor = "" } = read ?? {};
  const back = { metadata, manifestConfigs, deleteOption, executor };
  expect(await apply("web", "1", back)).toBe("UNCHANGED 1");
  expect(await apply("web", "2")).toBe("UPDATED 2");

  expect(read).toMatchObject({ source: "maestro", name: "web", delivery: { attempts: 0 } });
  expect(JSON.parse(metadata).labels).toEqual({ tier: "gold" });
  for (const [one, other] of [[deleteOption, options.deleteOption], [executor, options.executor]]) {
    expect(JSON.parse(one ?? "")).toEqual(JSON.parse(other ?? ""));
  }
  const { resourceBundle: now } = await client.get({ id: "web" });
  expect([now?.deleteOption, now?.executor, now?.manifestConfigs]).toEqual(["", "", []]);
});

test("an expected version keeps others' changes, and 0 keeps what exists", async () => {
  await using road = await open();
  const { apply, client } = road;
  expect(await apply("web", "1", { expectedVersion: 0 })).toBe("CREATED 1");
  await apply("web", "2");
  const stale = "Aborted: the resource version is not the latest, the latest version: 2";

  expect(await refusal(apply("web", "3", { expectedVersion: 1 }))).toBe(stale);
  expect(await refusal(apply("web", "3", { expectedVersion: 0 })))
    .toBe("Aborted: This Resource already exists");
  expect(await refusal(apply("other", "3", { expectedVersion: 7 }))).toStartWith("NotFound");
  expect(await refusal(client.delete({ id: "web", expectedVersion: 1 }))).toBe(stale);
  expect(await apply("web", "3", { expectedVersion: 2 })).toBe("UPDATED 3");
  const deleted = await client.delete({ id: "web", expectedVersion: 3 });
  expect(deleted.resourceBundle?.delivery?.state).toBe(Delivery_State.DELETING);
});

test("a dry run tells what would be, and leaves everything as it is", async () => {
  await using road = await open();
  const { apply, client, consumerName } = road;
  const dryRun = true;

  expect(await apply("web", "1", { dryRun })).toBe("CREATED 1");
  expect(await refusal(client.get({ id: "web" }))).toStartWith("NotFound");
  await apply("web", "1");
  expect(await apply("web", "2", { dryRun })).toBe("UPDATED 2");
  expect(await apply("web", "1", { dryRun })).toBe("UNCHANGED 1");
  expect(await refusal(apply("web", "2", { dryRun, expectedVersion: 5 }))).toStartWith("Aborted");
  const nowhere = { id: "a", consumerName: "nowhere", manifests: [manifest("1")], dryRun };
  expect(await refusal(client.apply(nowhere))).toStartWith("InvalidArgument");
  const { resourceBundle } = await client.delete({ id: "web", dryRun });
  expect(await refusal(client.delete({ id: "web", dryRun, expectedVersion: 5 })))
    .toStartWith("Aborted");

  expect(resourceBundle).toMatchObject({ version: 1, consumerName });
  expect(resourceBundle?.deletedAt).toBeUndefined();
  expect((await client.get({ id: "web" })).resourceBundle?.version).toBe(1);
});

test("a deletion waits for its agent, and one that is asked for again changes nothing", async () => {
  await using road = await open();
  const { apply, client, consumerName, doors } = road;
  await apply("web", "1");

  const first = await client.delete({ id: "web" });
  const second = await client.delete({ id: "web" });
  const late = await refusal(apply("web", "2"));
  await publish(doors.agents, statusEvent({ id: "web", consumerName, isDeleted: true }));
  const gone = await client.delete({ id: "web" });

  expect(first.resourceBundle?.deletedAt).toEqual(second.resourceBundle?.deletedAt);
  expect(late).toBe("Aborted: the resource is under deletion, id: web");
  expect(gone.resourceBundle).toBeUndefined();
  expect(await apply("web", "2")).toBe("CREATED 1");
});

test("what is wrong is refused with its field, and single manifests are no bundles", async () => {
  await using road = await open();
  const { client, consumerName, doors } = road;
  const id = "web";
  const type = "io.open-cluster-management.works.v1alpha1.manifests.spec.create_request";
  const data = `{"manifest":${manifest("1")}}`;
  await publish(doors.sources, { ...specEvent({ id: "single", consumerName, data }), type });
  const wrong: [Parameters<typeof client.apply>[0], string][] = [
    [{}, "id is required"],
    [{ id }, "consumer_name is required"],
    [{ id, consumerName, expectedVersion: -1 }, "expected_version must be at least 0"],
    [{ id, consumerName, manifests: [manifest("1"), "{"] }, "Cannot read manifests[1]: it is not"],
    [{ id, consumerName, manifests: ["[]"] }, "Cannot read manifests[0]: it must be a JSON object"],
    [{ id, consumerName, manifests: ["{}"] }, "manifests[0]"],
    [{ id, consumerName, manifestConfigs: ["1"] }, "Cannot read manifest_configs[0]"],
    [{ id, consumerName, metadata: "x" }, "Cannot read metadata: it is not JSON"],
    [{ id, consumerName, deleteOption: '"a"' }, "Cannot read delete_option"],
    [{ id, consumerName, executor: '{"subject":1}' }, "executor.subject must be"],
    [{ id: "A B", consumerName, manifests: [manifest("1")] }, 'Cannot create resource "A B"'],
  ];

  for (const [request, words] of wrong) {
    const said = await refusal(client.apply(request));
    expect(said).toStartWith("InvalidArgument: ");
    expect(said).toContain(words);
  }
  expect(await refusal(client.get({ id: "single" }))).toStartWith("NotFound");
  expect(await refusal(client.delete({ id: "single" }))).toStartWith("NotFound");
  const over = { id: "single", consumerName, manifests: [manifest("2")] };
  expect(await refusal(client.apply(over))).toStartWith("NotFound");
  expect(await refusal(client.delete({ id, expectedVersion: 0 }))).toContain("at least 1");
});

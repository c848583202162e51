/** Consumers in a real database. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  createConsumer,
  deleteConsumer,
  getConsumer,
  updateConsumer,
} from "../../src/lib/consumer/consumers.ts";
import { query } from "../../src/lib/db/query.ts";
import { abandonResource } from "../../src/lib/spec/abandon.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { newResource } from "../spec/specs.ts";
import { createDatabase, type TestDatabase, testLogger } from "../harness/postgres.ts";
import { allConsumers } from "./listed.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
}, 60_000);
afterAll(() => database[Symbol.asyncDispose]());

const uniqueName = () => `c-${crypto.randomUUID().slice(0, 13)}`;

test("a consumer is read as it was created", async () => {
  const name = uniqueName();

  const created = await createConsumer(database.db, { name, labels: { env: "prod" } });
  const read = await getConsumer(database.db, created.id);

  expect(read).toEqual(created);
  expect(read).toMatchObject({ name, labels: { env: "prod" } });
  expect(read.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/);
});

test("a consumer without a name is named by its id", async () => {
  const created = await createConsumer(database.db, { name: "", labels: {} });

  expect(created.name).toBe(created.id);
  expect(created).not.toHaveProperty("labels");
});

test("a taken consumer name is a conflict", async () => {
  const name = uniqueName();
  await createConsumer(database.db, { name });

  await expect(createConsumer(database.db, { name })).rejects.toMatchObject({
    code: "conflict",
    message: "This Consumer already exists",
  });
});

test("a consumer name that Kubernetes would not take is refused", async () => {
  for (const name of ["Cluster", "a b", "-a", "a".repeat(64), "a.b"]) {
    await expect(createConsumer(database.db, { name })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("Unable to create Consumer: consumer.name: Invalid value: "),
    });
  }
});

test("labels are replaced, cleared, or left alone", async () => {
  const { id } = await createConsumer(database.db, { labels: { a: "1", b: "2" } });

  const untouched = await updateConsumer(database.db, id, {});
  const replaced = await updateConsumer(database.db, id, { labels: { c: "3" } });
  const cleared = await updateConsumer(database.db, id, { labels: {} });

  expect(untouched.labels).toEqual({ a: "1", b: "2" });
  expect(replaced.labels).toEqual({ c: "3" });
  expect(cleared).not.toHaveProperty("labels");
  expect(cleared.updated_at > untouched.updated_at).toBeTrue();
});

test("an unknown consumer is not found, but its deletion succeeds", async () => {
  const error = { code: "not_found", message: "Consumer with id='nobody' not found" };

  await expect(getConsumer(database.db, "nobody")).rejects.toMatchObject(error);
  await expect(updateConsumer(database.db, "nobody", {})).rejects.toMatchObject(error);
  await expect(updateConsumer(database.db, "nobody", { labels: {} })).rejects.toMatchObject(error);
  await deleteConsumer(database.db, "nobody");
});

test("a consumer is gone after its deletion", async () => {
  const { id } = await createConsumer(database.db, {});

  await deleteConsumer(database.db, id);

  await expect(getConsumer(database.db, id)).rejects.toMatchObject({ code: "not_found" });
});

test("I10: what waited for a consumer goes with it, after its resources were abandoned", async () => {
  const { db } = database;
  const { id, name } = await createConsumer(db, {});
  const resource = newResource(name);
  const acceptor = createAcceptor(db);
  await acceptor.create(resource);
  await acceptor.delete({ id: resource.id });
  const who = { by: "ada", sourceId: "maestro", operationId: "1" };
  await abandonResource(db, testLogger(), { id: resource.id, type: "Bundle", ...who });

  await deleteConsumer(db, id);

  expect(await query(db, "select from events where consumer_name = $1", [name])).toEqual([]);
});

test("a consumer that has resources, even while they are being deleted, stays", async () => {
  const name = uniqueName();
  const { id } = await createConsumer(database.db, { name });
  await database.db`
    insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash,
      spec_event, deleted_at)
    values (${name}, ${name}, 's', ${name}, 'Bundle', 1, '{}', '', '{}', now())`;

  await expect(deleteConsumer(database.db, id)).rejects.toMatchObject({
    code: "permission_denied",
    message: expect.stringMatching(/^Unable to delete Consumer: .*fk_resources_consumers/),
  });

  expect((await getConsumer(database.db, id)).name).toBe(name);
});

test("consumers are found in order of creation", async () => {
  const created: string[] = [];
  for (let count = 0; count < 5; count++) created.push((await createConsumer(database.db, {})).id);

  const ids = (await allConsumers(database.db)).map(({ id }) => id);

  expect(ids.filter((id) => created.includes(id))).toEqual(created);
});

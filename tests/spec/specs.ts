/** Resources for the tests of the way down: made, stored and looked at. */

import { type Consumer, createConsumer } from "../../src/lib/consumer/consumers.ts";
import type { DatabaseAddress } from "../../src/lib/db/address.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { type Acceptor, createAcceptor } from "../../src/lib/spec/accept.ts";
import type { NewResource, ResourceUpdate } from "../../src/lib/spec/accept.ts";
import { bundle, specEvent } from "../harness/events.ts";
import { createDatabase } from "../harness/postgres.ts";

export interface Specs extends AsyncDisposable {
  db: Db;
  address: DatabaseAddress;
  acceptor: Acceptor;
  /** The name of a consumer. */
  consumer: string;
  addConsumer(): Promise<Consumer>;
  /** Creates and stores a resource. */
  create(parts?: Partial<NewResource>): Promise<NewResource>;
}

/** A database with one consumer and an acceptor. */
export async function openSpecs(): Promise<Specs> {
  const database = await createDatabase({ maxConnections: 8 });
  const acceptor = createAcceptor(database.db);
  const { name: consumer } = await createConsumer(database.db, {});
  return {
    db: database.db,
    address: database.address,
    acceptor,
    consumer,
    addConsumer: () => createConsumer(database.db, {}),
    create: async (parts = {}) => {
      const resource = newResource(parts.consumerName ?? consumer, parts);
      await acceptor.create(resource);
      return resource;
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/** A resource that is not stored yet. */
export function newResource(consumerName: string, parts: Partial<NewResource> = {}): NewResource {
  const id = parts.id ?? crypto.randomUUID();
  return {
    id,
    name: id,
    source: "tests",
    consumerName,
    type: "Bundle",
    version: 1,
    spec: bundle(),
    event: specEvent({ id, consumerName }),
    ...parts,
  };
}

/** An update by the same source; `value` is its content. */
export function newUpdate(id: string, version: number, value: string): ResourceUpdate {
  const event = specEvent({ id, consumerName: "", action: "update_request" });
  return { id, source: "tests", version, spec: bundle(value), event };
}

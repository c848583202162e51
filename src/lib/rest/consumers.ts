/** The routes of consumers. */

import type { Hono } from "hono";
import {
  createConsumer,
  deleteConsumer,
  getConsumer,
  updateConsumer,
} from "../consumer/consumers.ts";
import type { Db } from "../db/connect.ts";
import { invalid } from "./body.ts";
import { readObject } from "./documents.ts";
import type { ListDoor } from "./list_door.ts";
import { CONSUMER_LIST } from "./list_kinds.ts";
import { presentConsumer } from "./present.ts";
import { addRoute, idOf, type RestEnv, sendJson, sendNothing } from "./routes.ts";
import { ConsumerCreate, ConsumerPatch } from "./schemas/consumer.ts";
import { validate } from "./validate.ts";

const PATH = "/api/maestro/v1/consumers";

/** Adds `/consumers`. */
export function addConsumerRoutes(app: Hono<RestEnv>, db: Db, lists: ListDoor): void {
  addRoute(app, PATH, {
    GET: (c) => lists.answer(c, CONSUMER_LIST),
    async POST(c) {
      const { name, labels } = validate(ConsumerCreate, await readObject(c));
      const consumer = await createConsumer(db, { name, labels });
      c.header("Location", `${PATH}/${consumer.id}`);
      return sendJson(c, 201, presentConsumer(consumer));
    },
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      return sendJson(c, 200, presentConsumer(await getConsumer(db, idOf(c))));
    },
    async PATCH(c) {
      const id = idOf(c);
      const { labels, name, id: given } = validate(ConsumerPatch, await readObject(c));
      if ((given ?? id) !== id) throw invalid("id: field is immutable");
      // A name never changes, so what is read here still holds when the labels are written.
      if (name !== undefined && (await getConsumer(db, id)).name !== name) {
        throw invalid("name: field is immutable");
      }
      return sendJson(c, 200, presentConsumer(await updateConsumer(db, id, { labels })));
    },
    async DELETE(c) {
      await deleteConsumer(db, idOf(c));
      return sendNothing(c);
    },
  });
}

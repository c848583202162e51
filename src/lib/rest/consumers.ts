/** The routes of consumers. */

import type { Hono } from "hono";
import {
  createConsumer,
  deleteConsumer,
  getConsumer,
  listConsumers,
  updateConsumer,
} from "../consumer/consumers.ts";
import type { Db } from "../db/connect.ts";
import { invalid, refuseUnknown, textMapMember, textMember } from "./body.ts";
import { readObject } from "./documents.ts";
import { parsePage, presentList } from "./list.ts";
import { presentConsumer } from "./present.ts";
import { addRoute, idOf, type RestEnv, sendJson, sendNothing } from "./routes.ts";

const PATH = "/api/maestro/v1/consumers";
/** What a consumer that was read has, so that it can be sent back. */
const KNOWN = [
  ...["name", "labels", "id", "kind", "href", "created_at", "updated_at"],
  ...["connection", "last_seen_at", "agent_version"],
];

/** Adds `/consumers`. */
export function addConsumerRoutes(app: Hono<RestEnv>, db: Db): void {
  addRoute(app, PATH, {
    async GET(c) {
      const page = parsePage(new URL(c.req.url).searchParams);
      const { items, total } = await listConsumers(db, page);
      const list = presentList("ConsumerList", items.map(presentConsumer), { ...page, total });
      return sendJson(c, 200, list);
    },
    async POST(c) {
      const body = await readObject(c);
      if (textMember(body, "id") !== undefined) throw invalid("id must be empty");
      refuseUnknown(body, KNOWN);
      const input = { name: textMember(body, "name"), labels: textMapMember(body, "labels") };
      const consumer = await createConsumer(db, input);
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
      const body = await readObject(c);
      refuseUnknown(body, KNOWN);
      const labels = textMapMember(body, "labels");
      if ((textMember(body, "id") ?? id) !== id) throw invalid("id: field is immutable");
      const name = textMember(body, "name");
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

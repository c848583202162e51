/** What clients send to create or change a consumer. */

import * as v from "valibot";
import { absent, ignored, text, textMap } from "./members.ts";

const LABELS = "Labels of the cluster. An empty object is the same as none.";
const NAME = "A DNS-1123 label; in topics and paths the agent is known by it.";
/** A DNS-1123 label, which may also be empty here. */
const NAME_JSON = { pattern: "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", maxLength: 63 };

const READ_ONLY = [
  ...["kind", "href", "created_at", "updated_at"],
  ...["connection", "last_seen_at", "agent_version"],
] as const;

/** The body of `POST /consumers`. */
export const ConsumerCreate = v.pipe(
  v.strictObject({
    name: text(`${NAME} Without one it is the id. It never changes.`, NAME_JSON),
    labels: textMap(LABELS),
    id: absent("Made by the server."),
    ...ignored(READ_ONLY),
  }),
  v.description("A cluster that is to receive resources."),
);

/** The body of `PATCH /consumers/{id}`. */
export const ConsumerPatch = v.pipe(
  v.strictObject({
    labels: textMap(`${LABELS} They replace those that are stored; left out, these stay.`),
    name: text("If given it must be the name that is stored."),
    id: text("If given it must be the id in the path."),
    ...ignored(READ_ONLY),
  }),
  v.description("A change of a consumer's labels."),
);

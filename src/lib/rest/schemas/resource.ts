/** What clients send to create or change a resource of one manifest. */

import * as v from "valibot";
import { RESOURCE_VERSION_MAX } from "../../wire/event.ts";
import { absent, ignored, object, requiredText, text, whole } from "./members.ts";
import { DeleteOption, Manifest, UpdateStrategy } from "./options.ts";

const READ_ONLY = [
  ...["kind", "href", "created_at", "updated_at", "deleted_at", "status", "delivery"],
] as const;

const GroupResource = v.nullish(v.strictObject({
  group: text("That of the manifest's apiVersion; empty for the core group."),
  resource: text("The plural name, if it is not the one that the kind's name suggests."),
}, "must be an object"));

const OPTIONS = {
  group_resource: GroupResource,
  delete_option: object("What becomes of the object at deletion.", DeleteOption),
  update_strategy: object(
    "How the object is written. With `ReadOnly` it is never deleted either.",
    UpdateStrategy,
  ),
};

/** The body of `POST /resources`. */
export const ResourceCreate = v.pipe(
  v.strictObject({
    consumer_name: requiredText("The cluster that is to have it."),
    manifest: object("The Kubernetes object.", Manifest),
    version: whole("The version to begin with; 1 if left out or 0.", {
      min: 0,
      max: RESOURCE_VERSION_MAX,
    }),
    name: text("Unique among all resources: a DNS-1123 label. The id if left out."),
    ...OPTIONS,
    id: absent("Made by the server."),
    ...ignored(READ_ONLY),
  }),
  v.description("A Kubernetes object for one cluster."),
);

/** The body of `PATCH /resources/{id}`. */
export const ResourcePatch = v.pipe(
  v.strictObject({
    manifest: object("The Kubernetes object, whole: it replaces the one that is stored.", Manifest),
    version: whole("The version that is replaced. Required, unless `If-Match` says it.", {
      min: 1,
      max: RESOURCE_VERSION_MAX,
    }),
    ...OPTIONS,
    consumer_name: text("If given it must be the one that is stored."),
    name: text("If given it must be the one that is stored."),
    id: text("If given it must be the id in the path."),
    ...ignored(READ_ONLY),
  }),
  v.description("A new manifest, and options; those that are left out stay."),
);

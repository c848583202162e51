/** What clients send to change many bundles in one request. */

import * as v from "valibot";
import { isObject, type JsonObject } from "../../json.ts";
import { RESOURCE_VERSION_MAX } from "../../wire/event.ts";
import { BundleInput, BundleMergePatch } from "./bundle.ts";
import { JsonPatch } from "./json_patch.ts";
import { passing, requiredText, text, whole } from "./members.ts";

/** More would hold too much in memory at once. */
export const ITEMS_MAX = 1_000;

const VERSION = whole("The version that was seen. Left out or 0: any.", {
  min: 0,
  max: RESOURCE_VERSION_MAX,
});
const ID = requiredText("The bundle's id.");

const Bundle = passing<JsonObject>(isObject, "must be an object", { shape: BundleInput });
const Patch = passing<JsonObject | unknown[]>(
  (value) => isObject(value) || Array.isArray(value),
  "must be an object or a list",
  { shape: v.union([BundleMergePatch, JsonPatch]) },
);

const action = <const Name extends string>(name: Name) => v.literal(name);

/** The items of a batch, by their action. */
export const BatchItem = v.pipe(
  v.variant("action", [
    v.strictObject({
      action: action("create"),
      bundle: v.pipe(Bundle, v.description("The bundle, which must not be there yet.")),
    }),
    v.strictObject({
      action: action("apply"),
      id: text("The bundle's id, if the bundle itself does not say it."),
      bundle: v.pipe(Bundle, v.description("The bundle: created, or replaced whole.")),
    }),
    v.strictObject({
      action: action("patch"),
      id: ID,
      patch: v.pipe(
        Patch,
        v.description("A merge patch, or a JSON patch if it is a list."),
      ),
      version: VERSION,
    }),
    v.strictObject({ action: action("delete"), id: ID, version: VERSION }),
  ], "must be create, apply, patch or delete"),
  v.description("One change. What it needs is said by its `action`."),
);

/** The body of `POST /resource-bundles:batch`. Each item is checked by itself, as one of `BatchItem`. */
export const BatchInput = v.pipe(
  v.strictObject({
    items: v.pipe(
      v.array(
        passing<unknown>(() => true, "", { shape: BatchItem }),
        ({ input }) => input === null ? "is required" : "must be a list",
      ),
      v.description(`Up to ${ITEMS_MAX} changes; those of one bundle take effect in their order.`),
    ),
  }),
  v.description("Changes of bundles, each answered for itself."),
);

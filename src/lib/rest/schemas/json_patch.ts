/** JSON patches as they are described; `json_patch.ts` checks them, step by step. */

import * as v from "valibot";
import { STEPS_MAX } from "../../json_patch.ts";

const Pointer = v.pipe(
  v.string(),
  v.regex(/^(\/([^~]|~[01])*)?$/),
  v.description("A JSON pointer, such as `/manifests/0/spec/replicas`."),
);
const value = v.pipe(v.unknown(), v.description("Any JSON."));

const step = <Op extends string, Entries extends v.ObjectEntries>(op: Op, entries: Entries) =>
  v.looseObject({ op: v.literal(op), path: Pointer, ...entries });

/** The body of a JSON patch. */
export const JsonPatch = v.pipe(
  v.array(v.variant("op", [
    step("add", { value }),
    step("replace", { value }),
    step("test", { value }),
    step("remove", {}),
    step("move", { from: Pointer }),
    step("copy", { from: Pointer }),
  ])),
  v.maxLength(STEPS_MAX),
  v.description(
    "Steps of RFC 6902 on the bundle as it is shown. All of them count, or none; a `test` of " +
      "`/version` says which version was seen.",
  ),
);

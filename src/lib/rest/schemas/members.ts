/**
 * The kinds of members that bodies have, as valibot schemas.
 *
 * As in Go, null counts as absent, and so does an empty text. Documents as manifests are passed on as they came: nobody
 * walks into them here, and no digit of theirs is lost.
 */

// deno-lint-ignore-file explicit-module-boundary-types -- the inferred type of a schema is what it is for

import * as v from "valibot";
import { isObject, type JsonObject, rawNumber } from "../../json.ts";

/** JSON Schema for what a check of ours lets pass. */
export type JsonSchema = Record<string, unknown>;

/** A check with its JSON Schema, or with another schema that describes what is checked elsewhere. */
export function passing<T>(
  check: (value: unknown) => boolean,
  message: string,
  described: { json: JsonSchema } | { shape: v.GenericSchema },
): v.CustomSchema<T, v.ErrorMessage<v.CustomIssue>> {
  return Object.assign(v.custom<T>(check, message), { described }) as never;
}

/** An object that is passed on as it came; `shape` describes it. */
function asObject(
  shape: v.GenericSchema,
): v.CustomSchema<JsonObject, v.ErrorMessage<v.CustomIssue>> {
  return passing<JsonObject>(isObject, "must be an object", { shape });
}

/** A text that may be left out. */
export function text(description: string, json: JsonSchema = {}) {
  const none = passing<string>((value) => typeof value === "string", "must be a string", {
    json: { type: "string", ...json },
  });
  return v.pipe(
    v.nullish(none),
    v.description(description),
    v.transform((given): string | undefined => given || undefined),
  );
}

/** A text that must be there, and say something. */
export function requiredText(description: string, json: JsonSchema = {}) {
  const given = Object.assign(
    v.custom<string>(
      (value) => typeof value === "string" && value !== "",
      ({ input }) => input === null || input === "" ? "is required" : "must be a string",
    ),
    { described: { json: { type: "string", minLength: 1, ...json } } },
  );
  return v.pipe(given, v.description(description));
}

/** A whole number that may be left out. It may have come as digits that were kept. */
export function whole(description: string, { min, max }: { min: number; max: number }) {
  const isWhole = (value: unknown) => {
    const number = toNumber(value);
    return typeof number === "number" && Number.isInteger(number) && number >= min && number <= max;
  };
  const number = passing<unknown>(isWhole, `must be a whole number from ${min} to ${max}`, {
    json: { type: "integer", minimum: min, maximum: max },
  });
  return v.pipe(
    v.nullish(number),
    v.description(description),
    v.transform((given) => given === null || given === undefined ? undefined : toNumber(given)),
  );
}

function toNumber(value: unknown): number {
  const kept = rawNumber(value);
  return (kept === undefined ? value : Number(kept)) as number;
}

/** An object that may be left out. */
export function object(description: string, shape: v.GenericSchema) {
  return v.pipe(
    v.nullish(asObject(shape)),
    v.description(description),
    v.transform((given) => given ?? undefined),
  );
}

/**
 * A list of objects, passed on as it came; `shape` describes one of them, and `faultOf` finds what else is wrong with
 * it, as the place below it and what must be there. One pass for all of it: there may be thousands.
 */
export function objects<T extends object>(
  shape: v.GenericSchema,
  faultOf: (item: JsonObject) => string | undefined = () => undefined,
) {
  const list = Object.assign(
    v.custom<T[]>(Array.isArray, ({ input }) => input === null ? "is required" : "must be a list"),
    { described: { shape: v.array(shape) } },
  );
  return v.pipe(
    list,
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      for (const [index, item] of (dataset.value as unknown[]).entries()) {
        const fault = isObject(item) ? faultOf(item) : " must be an object";
        if (fault !== undefined) return addIssue({ message: `[${index}]${fault}` });
      }
    }),
  );
}

/** An object whose values are all text, as labels are; it may be left out. */
export function textMap(description: string) {
  const isMap = v.pipe(
    asObject(v.record(v.string(), v.string())),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const found = Object.entries(dataset.value).find(([, value]) => typeof value !== "string");
      if (found) addIssue({ message: `[${JSON.stringify(found[0])}] must be a string` });
    }),
    v.transform((map) => map as Record<string, string>),
  );
  return v.pipe(
    v.nullish(isMap),
    v.description(description),
    v.transform((given) => given ?? undefined),
  );
}

/** Must not be given when something is created. */
export function absent(description: string) {
  const isEmpty = passing<"">((value) => value === "", "must be empty", {
    json: { type: "string", maxLength: 0 },
  });
  return v.pipe(v.nullish(isEmpty), v.description(description));
}

/** Members that are ours to set. They are tolerated, so that what was read can be edited and sent back. */
export function ignored<const Key extends string>(keys: readonly Key[]) {
  const member = v.optional(
    v.pipe(v.unknown(), v.description("Ours to set; it is ignored, and may be sent back as read.")),
  );
  return Object.fromEntries(keys.map((key) => [key, member])) as Record<Key, typeof member>;
}

/** What answers are made of: times, numbers, links. */

// deno-lint-ignore-file explicit-module-boundary-types -- the inferred type of a schema is what it is for

import * as v from "valibot";

/** A text that is told. */
export const told = (description: string) => v.pipe(v.string(), v.description(description));

/** One of these words. */
export const word = <const Words extends readonly string[]>(words: Words, description: string) =>
  v.pipe(v.picklist(words), v.description(description));

/** A moment, as RFC 3339 with up to six digits of a second. */
export const time = (description: string) =>
  v.pipe(v.string(), v.isoTimestamp(), v.description(description));

/** A whole number, 0 or more. */
export const count = (description: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description));

/** What every object has that is shown. */
export const shownAs = <const Kind extends string>(kind: Kind) => ({
  id: told("What the object is called in paths."),
  kind: v.literal(kind),
  href: told("The object's path."),
});

/** What `fields` leaves of an object. */
export const SelectedFields = v.pipe(
  v.looseObject({ id: told("What the object is called in paths.") }),
  v.description("The members that `fields` asks for; `id` is always there."),
);

/** A page of a list. */
export function listOf<const Kind extends string>(kind: Kind, item: v.GenericSchema) {
  return v.pipe(
    v.strictObject({
      items: v.array(v.union([item, SelectedFields])),
      kind: v.literal(kind),
      page: count("The page that was asked for; of a walk by `continue` the number of this one."),
      size: count("How many items are on this page."),
      total: count("How many items there are on all pages."),
      continue: v.optional(told("What `continue` asks for next; there is none on the last page.")),
    }),
    v.description("A page of a list, in the order asked for; oldest first if none was."),
  );
}

/** Attributes that are all text: MQTT user properties and HTTP headers. */

import { type CloudEvent, eventProblem, isExtensionName } from "./event.ts";

/** How each of them is called. HTTP and the peers' MQTT agree on it. */
export const PREFIX = "ce-";

type TextAttribute = "id" | "source" | "type" | "time" | "subject" | "dataschema";

/**
 * Makes an event without data of what is called `ce-<name>`; anything else is left out. Of several values the last
 * one counts, as in the peers' maps. Throws what `fail` makes if it is no event.
 */
export function readAttributes(
  pairs: Iterable<readonly [name: string, value: string | readonly string[]]>,
  fail: (state: string) => Error,
): CloudEvent {
  const event: CloudEvent = { id: "", source: "", type: "", extensions: {} };
  let version: string | undefined;
  for (const [key, given] of pairs) {
    if (!key.startsWith(PREFIX)) continue;
    const value = typeof given === "string" ? given : given.at(-1) ?? "";
    const name = key.slice(PREFIX.length);
    if (name === "specversion") version = value;
    else if (isTextAttribute(name)) event[name] = value;
    else if (isExtensionName(name)) event.extensions[name] = value;
  }
  if (version === undefined) throw fail("it has no ce-specversion");
  if (version !== "1.0" && version !== "0.3") {
    throw fail(`the spec version must be "1.0", not ${JSON.stringify(version.slice(0, 20))}`);
  }
  const problem = eventProblem(event);
  if (problem !== undefined) throw fail(problem);
  return event;
}

function isTextAttribute(name: string): name is TextAttribute {
  return name === "id" || name === "source" || name === "type" || name === "time" ||
    name === "subject" || name === "dataschema";
}

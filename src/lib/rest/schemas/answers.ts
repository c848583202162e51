/** What clients are answered: errors, consumers, and what this API is. The document has it, and tests hold it true. */

import * as v from "valibot";
import { count, listOf, shownAs, time, told, word } from "./answer_members.ts";

const code = told("`maestro-` and the id.");

/** Any error but a refused login. */
export const ErrorAnswer = v.pipe(
  v.strictObject({
    id: told("The number of the kind of error."),
    kind: v.literal("Error"),
    href: told("Where the kind of error is described."),
    code,
    reason: told("What could not be done, in a sentence. It names the member that is wrong."),
    operation_id: told("Ties the answer to the server's log: the header `X-Operation-ID`."),
  }),
  v.description("Why a request was refused, or failed."),
);

/** A refused login, as the first releases tell it. */
export const LoginRefused = v.pipe(
  v.strictObject({
    kind: v.literal("Error"),
    id: v.literal("401"),
    href: v.literal("/api/maestro/errors/401"),
    code: v.literal("API-401"),
    reason: told("What is wrong with the token, or that there is none."),
  }),
  v.description("Why the token was not taken."),
);

/** The kinds of errors. */
export const ErrorList = v.pipe(
  v.strictObject({
    items: v.array(ErrorAnswer),
    kind: v.literal("ErrorList"),
    page: count("The page that was asked for."),
    size: count("How many items are on this page."),
    total: count("How many kinds there are."),
  }),
  v.description("The kinds of errors, each with its usual reason."),
);

/** `GET /api/maestro`. */
export const ApiMetadata = v.pipe(
  v.strictObject({
    id: v.literal("maestro"),
    kind: v.literal("API"),
    href: told("This path."),
    versions: v.array(v.strictObject({
      id: told("The version's name."),
      href: told("Its path."),
      kind: v.literal(""),
      collections: v.null(),
    })),
  }),
  v.description("The versions of this API."),
);

/** `GET /api/maestro/v1`. */
export const VersionMetadata = v.pipe(
  v.strictObject({
    id: v.literal("v1"),
    kind: v.literal("APIVersion"),
    href: told("This path."),
    collections: v.array(v.strictObject({
      id: told("The collection's name."),
      href: told("Its path."),
      kind: told("The kind of its list."),
    })),
  }),
  v.description("The collections of this version."),
);

/** A cluster that may receive resources. */
export const Consumer = v.pipe(
  v.strictObject({
    ...shownAs("Consumer"),
    name: told("By it the agent is known."),
    labels: v.optional(
      v.pipe(v.record(v.string(), v.string()), v.description("Labels of the cluster.")),
    ),
    created_at: time("When it was created."),
    updated_at: time("When its labels were changed last."),
    connection: word(
      ["connected", "disconnected", "unknown"],
      "Whether its agent is there, up to two minutes late; `unknown` if it never was.",
    ),
    last_seen_at: v.optional(time("When its agent was last heard of.")),
    agent_version: v.optional(told("The agent's version, if it says it.")),
  }),
  v.description("A cluster that receives resources."),
);

/** `GET /consumers`. */
export const ConsumerList = listOf("ConsumerList", Consumer);

/** What became of a batch of CloudEvents. */
export const CloudEventResultList = v.pipe(
  v.strictObject({
    kind: v.literal("CloudEventResultList"),
    size: count("How many results there are."),
    items: v.array(v.strictObject({
      id: v.optional(told("The event's id, if it could be read.")),
      source: v.optional(told("The event's source, if it could be read.")),
      status: count("204 if the event was stored; otherwise as of an error of REST."),
      code: v.optional(code),
      reason: v.optional(told("Why it was refused.")),
    })),
  }),
  v.description("A result for each event, in their order."),
);

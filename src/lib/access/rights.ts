/** What a caller may do. */

import { MaestroError } from "../errors.ts";
import { isObject } from "../json.ts";
import type { Caller } from "./caller.ts";

/** What a caller may change. Reading is free to whoever has come in. */
export type Rights =
  | { mayChange: "everything" }
  /** The resources of one source, and nothing else. */
  | { mayChange: "own"; source: string }
  | { mayChange: "nothing" };

const SOURCE = "source:";

/**
 * The rights that a token's roles give: `admin`, `viewer`, or `source:<id>`.
 *
 * A token that names no role of ours may do everything, as before there were roles. Throws `permission_denied` for two
 * sources: whose would be what it creates?
 */
export function rightsOf(caller: Caller | undefined): Rights {
  if (caller === undefined || caller.isAdmin) return { mayChange: "everything" };
  const roles = rolesOf(caller);
  if (roles.includes("admin")) return { mayChange: "everything" };
  const sources = [...new Set(roles.filter((role) => role.startsWith(SOURCE)))];
  const [first] = sources;
  if (sources.length > 1) {
    throw new MaestroError(
      "permission_denied",
      `Cannot tell whose changes these are: the token has the roles ${sources.join(", ")}`,
    );
  }
  if (first !== undefined) return { mayChange: "own", source: first.slice(SOURCE.length) };
  return roles.includes("viewer") ? { mayChange: "nothing" } : { mayChange: "everything" };
}

/** The claim `roles`, and where Keycloak puts them. Some issuers write them as one text: passed over, it would let all in. */
function rolesOf({ claims }: Caller): string[] {
  const { realm_access: realm, resource_access: clients } = claims;
  const ours = isObject(clients) ? clients["maestro"] : undefined;
  const lists = [claims, realm, ours].map((place) => isObject(place) ? place["roles"] : undefined);
  return lists.flatMap((list) => typeof list === "string" ? list.split(" ") : list)
    .filter((role) => typeof role === "string");
}

/** Why a change of a resource is refused, in the words that clients know. */

import { MaestroError } from "../errors.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";

/** An id that is not stored. */
export function notFound(id: string): MaestroError {
  return new MaestroError("not_found", `Resource with id='${id}' not found`);
}

/** An id or a name that is taken. */
export function alreadyExists(): MaestroError {
  return new MaestroError("conflict", "This Resource already exists");
}

/** A consumer that nobody has created. Clients of the Go server look for the name of the constraint. */
export function unknownConsumer(name: string): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `Unable to create Resource: consumer "${name}" does not exist ` +
      `(it violates foreign key constraint "fk_resources_consumers")`,
  );
}

/** A change of what is being deleted. */
export function underDeletion(id: string): MaestroError {
  return new MaestroError("conflict", `the resource is under deletion, id: ${id}`);
}

/** A change of what the caller has seen, and somebody else has changed since. */
export function staleVersion(latestVersion: number): MaestroError {
  return new MaestroError(
    "conflict",
    `the resource version is not the latest, the latest version: ${latestVersion}`,
    { latestVersion },
  );
}

/** A change of what has counted as far as its number goes. */
export function noVersionLeft(id: string): MaestroError {
  const message =
    `Cannot update resource "${id}": its version ${RESOURCE_VERSION_MAX} is the last that there is; ` +
    "delete it and create it anew";
  return new MaestroError("conflict", message);
}

/** A change of what belongs to another source. */
export function foreign(id: string, owner: string | null, caller: string): MaestroError {
  return new MaestroError(
    "permission_denied",
    `Cannot change resource "${id}": it belongs to source "${owner}", not to "${caller}"`,
  );
}

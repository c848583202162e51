/**
 * Every route that there is: the app takes no other, and the OpenAPI document describes each.
 *
 * What a route is for, takes and answers is said in `tools/openapi/`, which the server does not carry.
 */

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

/** The methods of each path. */
export const ROUTES = {
  "/api/maestro": ["GET"],
  "/api/maestro/v1": ["GET"],
  "/api/maestro/v1/openapi": ["GET"],
  "/api/maestro/v1/errors": ["GET"],
  "/api/maestro/v1/errors/:id": ["GET"],
  "/api/maestro/v1/consumers": ["GET", "POST"],
  "/api/maestro/v1/consumers/:id": ["GET", "PATCH", "DELETE"],
  "/api/maestro/v1/resources": ["GET", "POST"],
  "/api/maestro/v1/resources/:id": ["GET", "PATCH", "DELETE"],
  "/api/maestro/v1/resource-bundles": ["GET", "POST"],
  "/api/maestro/v1/resource-bundles/:id": ["GET", "PATCH", "PUT", "DELETE"],
  "/api/maestro/v1/resource-bundles:batch": ["POST"],
  "/api/maestro/v1/cloudevents": ["POST"],
} as const satisfies Record<string, readonly Method[]>;

/** A path as the app knows it. */
export type RoutePath = keyof typeof ROUTES;
/** The methods of a path. */
export type MethodOf<Path extends RoutePath> = (typeof ROUTES)[Path][number];

/**
 * What the agent needs of a Kubernetes API, as types.
 *
 * `kube/` implements it over HTTP, and in memory for simulated clusters. Objects are JSON whose numbers are
 * kept (`lib/json.ts`), so that a manifest reaches the cluster as it was written.
 */

import type { JsonObject } from "../json.ts";

/** Where objects of one kind live. */
export interface ResourceType {
  /** Empty for the core group. */
  group: string;
  version: string;
  kind: string;
  /** The plural in lower case: `deployments`. */
  resource: string;
  isNamespaced: boolean;
}

/** One object; `namespace` is empty for cluster-scoped types. */
export interface ObjectRef {
  type: ResourceType;
  namespace: string;
  name: string;
}

export interface WriteOptions {
  /** Who owns the fields written: `work-agent` unless a work says otherwise. */
  fieldManager: string;
  /** The answer is what would be stored, and nothing is. */
  isDryRun?: boolean;
  /** In whose name, if not in our own; for `create` only. */
  asUser?: string;
}

export interface PatchOptions extends WriteOptions {
  /** `apply` is a server-side apply, `merge` a JSON merge patch. */
  type: "apply" | "merge";
  /** Takes over fields that another manager owns; for `apply` only. */
  force?: boolean;
  subresource?: "status";
}

export interface DeleteOptions {
  /** The object is deleted only if it is still this one. */
  uid: string;
  /** And, if given, only if nobody has changed it since. */
  resourceVersion?: string;
  propagationPolicy: "Background" | "Foreground" | "Orphan";
}

export interface ListOptions {
  /** Asks for PartialObjectMetadata: no spec, no status. */
  metadataOnly?: boolean;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface WatchOptions extends ListOptions {
  /**
   * Events after this version; as a list returned it. Without it the watch begins with an ADDED for each object there
   * is, and a BOOKMARK that says so.
   */
  resourceVersion?: string;
  signal: AbortSignal;
}

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  object: JsonObject;
  /** All objects that there were when the watch began have been told. */
  isInitialEnd?: true;
}

export interface ObjectList {
  items: JsonObject[];
  resourceVersion: string;
}

/**
 * A Kubernetes API. Every call has a time-out and throws `KubeError` when the server refuses.
 *
 * A 404 for an object is a value (`undefined`, or `false`), not an error. A 404 for its type, which is no longer
 * served, is a `KubeError` with the reason `PathNotFound`; `resolve` will say so from then on.
 */
export interface Kube {
  /** Text for logs: the server's URL, or "simulated". */
  readonly description: string;
  /**
   * Finds the type of a kind by discovery, cached; a miss asks the server again, at once if its definition was just made.
   * Returns undefined if the server does not serve it; throws if discovery itself fails.
   */
  resolve(
    apiVersion: string,
    kind: string,
    options?: { isExpected?: boolean },
  ): Promise<ResourceType | undefined>;
  /**
   * Finds a type that is not served as it was, asking the server: its objects live on in another version. Returns
   * undefined if the server serves it in none; throws if it does not say.
   */
  relocate(type: ResourceType): Promise<ResourceType | undefined>;
  get(ref: ObjectRef): Promise<JsonObject | undefined>;
  /** Throws a `KubeError` with reason `AlreadyExists` if it is there. */
  create(ref: ObjectRef, object: JsonObject, options: WriteOptions): Promise<JsonObject>;
  /** PUT: replaces the whole object; `metadata.resourceVersion` makes it conditional. */
  replace(ref: ObjectRef, object: JsonObject, options: WriteOptions): Promise<JsonObject>;
  /** Returns undefined if a merge patch finds no object. A server-side apply creates it. */
  patch(ref: ObjectRef, patch: JsonObject, options: PatchOptions): Promise<JsonObject | undefined>;
  /** Returns false if the object is gone already. Another uid or version is a `KubeError` (409, Conflict). */
  delete(ref: ObjectRef, options: DeleteOptions): Promise<boolean>;
  /** Lists all pages of one type, in one namespace or (`""`) in all. */
  list(type: ResourceType, namespace: string, options?: ListOptions): Promise<ObjectList>;
  /**
   * Streams changes of one type. Ends when the server ends it or `signal` aborts; throws a `KubeError` with
   * code 410 when the version is too old, after which the caller lists again.
   */
  watch(
    type: ResourceType,
    namespace: string,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent>;
}

/** One of several things that are wrong: `details.causes` of a Status object. */
export interface RefusalCause {
  /** `FieldManagerConflict`, `FieldValueInvalid` … */
  reason: string;
  message: string;
  /** `.data.a` or `spec.selector`. */
  field: string;
}

/** A refusal of the Kubernetes API: the fields of its Status object. */
export class KubeError extends Error {
  override readonly name = "KubeError";
  readonly causes: readonly RefusalCause[];

  constructor(
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    /**
     * `NotFound`, `Conflict`, `AlreadyExists`, `Forbidden`, `Invalid`, `Timeout` …, as the server says it. Ours
     * are `PathNotFound` (404) and, with status 0, `Unreachable`, `Timeout`, `NoCredentials`, `Aborted`,
     * `BadRequest` and `InvalidAnswer`.
     */
    readonly reason: string,
    message: string,
    options?: { cause?: unknown; causes?: readonly RefusalCause[] },
  ) {
    super(message, options);
    this.causes = options?.causes ?? [];
  }
}

/** How one call ended. */
export interface KubeCall {
  method: string;
  /** The HTTP status; 0 if there was no answer. */
  code: number;
  /** Of a call without an answer. */
  failure?: KubeError;
}

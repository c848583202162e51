/** A Kubernetes API over HTTP. */

import type { JsonObject } from "../json.ts";
import { isObject } from "../json.ts";
import {
  type Kube,
  KubeError,
  type ListOptions,
  type ObjectList,
  type ObjectRef,
  type PatchOptions,
  type ResourceType,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "../work/kube_api.ts";
import type { KubeAccess } from "./access.ts";
import { basePath, createDiscovery } from "./discovery.ts";
import { type KubeOptions, type KubeRequest, openTransport, type Transport } from "./transport.ts";
import { readWatch } from "./watch.ts";

/** Objects in one page of a list: a few megabytes in memory at a time, not the whole type. */
const PAGE_ITEMS_MAX = 500;
/**
 * How long the server keeps a watch. Shorter than its own default, so that a connection that died silently is
 * noticed in minutes.
 */
const WATCH_SECONDS = { min: 240, max: 300 };
/** How much later than promised the server may end a watch before we take the connection for dead. */
const WATCH_GRACE_MS = 15_000;

const CONTENT_TYPE: Record<PatchOptions["type"], string> = {
  // The body is JSON, which is YAML too; servers before 1.36 know no other name for it.
  apply: "application/apply-patch+yaml",
  merge: "application/merge-patch+json",
};

export interface ClientOptions extends KubeOptions {
  /** How long a watch lasts, in seconds; four to five minutes unless given. */
  watchSeconds?: number;
  /** How much longer than that it may stay silent; 15 s unless given. */
  watchGraceMs?: number;
}

/** Opens the API that `access` leads to. Nothing is sent until the first call. */
export function openKube(access: KubeAccess, options: ClientOptions = {}): Kube {
  const transport = openTransport(access, options);
  const discovery = createDiscovery((path) => transport.send({ method: "GET", path }));

  const send = async (type: ResourceType, request: KubeRequest): Promise<JsonObject> => {
    try {
      return await transport.send(request);
    } catch (error) {
      if (isPathNotFound(error)) discovery.forget(type);
      throw error;
    }
  };

  return {
    description: transport.server,
    resolve: discovery.resolve,
    get: async (ref) => await unlessGone(send(ref.type, { method: "GET", path: objectPath(ref) })),
    create: async (ref, object, options) =>
      await send(ref.type, {
        method: "POST",
        path: checked(ref, collectionPath(ref.type, ref.namespace)),
        query: writeQuery(options),
        body: object,
      }),
    replace: async (ref, object, options) =>
      await send(ref.type, {
        method: "PUT",
        path: objectPath(ref),
        query: writeQuery(options),
        body: object,
      }),
    async patch(ref, patch, options) {
      const { type, force, subresource } = options;
      const sent = send(ref.type, {
        method: "PATCH",
        path: objectPath(ref) + (subresource === undefined ? "" : `/${subresource}`),
        query: { ...writeQuery(options), ...(type === "apply" && force ? { force: "true" } : {}) },
        body: patch,
        contentType: CONTENT_TYPE[type],
      });
      // An apply creates what is missing, so what it misses is something else: the namespace.
      return await (type === "apply" ? sent : unlessGone(sent));
    },
    async delete(ref, { uid, propagationPolicy }) {
      const body = {
        apiVersion: "v1",
        kind: "DeleteOptions",
        preconditions: { uid },
        propagationPolicy,
      };
      const request: KubeRequest = { method: "DELETE", path: objectPath(ref), body };
      return await unlessGone(send(ref.type, request)) !== undefined;
    },
    list: (type, namespace, listOptions = {}) =>
      listPages(type, listOptions, (query) =>
        send(type, {
          method: "GET",
          path: collectionPath(type, namespace),
          query: { ...selectors(listOptions), ...query },
          accept: acceptOf("PartialObjectMetadataList", listOptions),
        })),
    watch: (type, namespace, watchOptions) =>
      watchType(transport, discovery, { ...options, type, namespace, ...watchOptions }),
  };
}

async function listPages(
  type: ResourceType,
  { metadataOnly }: ListOptions,
  read: (query: Record<string, string>) => Promise<JsonObject>,
): Promise<ObjectList> {
  const items: JsonObject[] = [];
  let page = await read({ limit: String(PAGE_ITEMS_MAX) });
  for (;;) {
    const { continue: continueFrom, resourceVersion = "" } = isObject(page["metadata"])
      ? page["metadata"] as { continue?: string; resourceVersion?: string }
      : {};
    for (const item of Array.isArray(page["items"]) ? page["items"] as JsonObject[] : []) {
      // In a list the items of built-in types come without these two.
      items.push(metadataOnly ? item : { ...typeMembers(type), ...item });
    }
    if (!continueFrom) return { items, resourceVersion };
    try {
      page = await read({ limit: String(PAGE_ITEMS_MAX), continue: continueFrom });
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 410)) throw error;
      // The pages are of one moment, and the server has forgotten it. In one piece it cannot happen again.
      items.length = 0;
      page = await read({});
    }
  }
}

async function* watchType(
  transport: Transport,
  discovery: { forget(type: ResourceType): void },
  options: WatchOptions & ClientOptions & { type: ResourceType; namespace: string },
): AsyncGenerator<WatchEvent> {
  const { type, namespace, resourceVersion, signal } = options;
  if (signal.aborted) return;
  const { min, max } = WATCH_SECONDS;
  // Watches that began together, after a restart, must not end together.
  const seconds = options.watchSeconds ?? Math.round(min + Math.random() * (max - min));
  const graceMs = options.watchGraceMs ?? WATCH_GRACE_MS;
  const own = new AbortController();
  const end = () => own.abort(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  const timer = setTimeout(() => {
    const text = `Cannot watch ${type.resource} at "${transport.server}": the connection is dead`;
    own.abort(new KubeError(0, "Timeout", text));
  }, seconds * 1000 + graceMs);
  try {
    const body = await transport.stream({
      method: "GET",
      path: collectionPath(type, namespace),
      query: {
        ...selectors(options),
        watch: "1",
        allowWatchBookmarks: "true",
        resourceVersion,
        timeoutSeconds: String(seconds),
      },
      accept: acceptOf("PartialObjectMetadata", options),
    }, own.signal);
    yield* readWatch(body, transport.server);
  } catch (error) {
    if (signal.aborted) return;
    if (isPathNotFound(error)) discovery.forget(type);
    throw own.signal.aborted ? own.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    // A consumer that stopped in the middle leaves no connection and no listener behind.
    own.abort();
  }
}

async function unlessGone(answer: Promise<JsonObject>): Promise<JsonObject | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404 && !isPathNotFound(error)) {
      return undefined;
    }
    throw error;
  }
}

function isPathNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.reason === "PathNotFound";
}

function typeMembers({ group, version, kind }: ResourceType): JsonObject {
  return { apiVersion: group === "" ? version : `${group}/${version}`, kind };
}

function collectionPath(type: ResourceType, namespace: string): string {
  const base = basePath(type.group, type.version);
  const within = type.isNamespaced && namespace !== ""
    ? `/namespaces/${encodeURIComponent(namespace)}`
    : "";
  return `${base}${within}/${encodeURIComponent(type.resource)}`;
}

function objectPath(ref: ObjectRef): string {
  const { type, namespace, name } = ref;
  // Without a name the path is that of all objects, and a delete would delete them all. One of dots leads elsewhere.
  if (name === "" || name === "." || name === "..") {
    throw new KubeError(0, "BadRequest", `Cannot call ${type.resource}: its name is "${name}"`);
  }
  return checked(ref, `${collectionPath(type, namespace)}/${encodeURIComponent(name)}`);
}

function checked({ type, namespace, name }: ObjectRef, path: string): string {
  if (!type.isNamespaced || (namespace !== "" && namespace !== "." && namespace !== "..")) {
    return path;
  }
  const text = `Cannot call ${type.resource} "${name}": its namespace is "${namespace}"`;
  throw new KubeError(0, "BadRequest", text);
}

function writeQuery({ fieldManager, isDryRun }: WriteOptions): Record<string, string> {
  return { fieldManager, ...(isDryRun ? { dryRun: "All" } : {}) };
}

function selectors({ labelSelector, fieldSelector }: ListOptions): Record<string, string> {
  return {
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

function acceptOf(kind: string, { metadataOnly }: ListOptions): string {
  const plain = "application/json";
  return metadataOnly ? `${plain};as=${kind};g=meta.k8s.io;v=v1` : plain;
}

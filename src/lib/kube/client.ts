/** A Kubernetes API over HTTP. */

import type { JsonObject } from "../json.ts";
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
import { readList, type ReadPage, readPages } from "./lists.ts";
import { type KubeOptions, type KubeRequest, openTransport, type Transport } from "./transport.ts";
import { readWatch } from "./watch.ts";
import { startWatch, type WatchedServer } from "./watch_start.ts";

/**
 * How long the server keeps a watch. Shorter than its own default, so that a connection that died silently is
 * noticed in minutes.
 */
const WATCH_SECONDS = { min: 240, max: 300 };
/** How much later than promised the server may end a watch before we take the connection for dead. */
const WATCH_GRACE_MS = 15_000;
/** The silence within the first objects of a watch after which no end of them is expected. */
const INITIAL_SILENCE_MS = 30_000;

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
  /** How long a watch may be silent before it has told of all objects there are; 30 s unless given. */
  initialSilenceMs?: number;
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

  const server: WatchedServer = {
    isOld: false,
    initialSilenceMs: options.initialSilenceMs ?? INITIAL_SILENCE_MS,
  };
  const pageOf =
    (type: ResourceType, namespace: string, listOptions: ListOptions): ReadPage => (query) =>
      send(type, {
        method: "GET",
        path: collectionPath(type, namespace),
        query: { ...selectors(listOptions), ...query },
        accept: acceptOf("PartialObjectMetadataList", listOptions),
      });

  return {
    description: transport.server,
    resolve: discovery.resolve,
    relocate: discovery.relocate,
    get: async (ref) => await unlessGone(send(ref.type, { method: "GET", path: objectPath(ref) })),
    create: async (ref, object, options) =>
      await send(ref.type, {
        method: "POST",
        path: checked(ref, collectionPath(ref.type, ref.namespace)),
        query: writeQuery(options),
        body: object,
        asUser: options.asUser,
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
    async delete(ref, { propagationPolicy, ...preconditions }) {
      const body = {
        apiVersion: "v1",
        kind: "DeleteOptions",
        preconditions,
        propagationPolicy,
      };
      const request: KubeRequest = { method: "DELETE", path: objectPath(ref), body };
      return await unlessGone(send(ref.type, request)) !== undefined;
    },
    async list(type, namespace, listOptions = {}) {
      const list = await readList(pageOf(type, namespace, listOptions));
      return wholeItems(type, listOptions, list);
    },
    watch(type, namespace, watchOptions) {
      const { resourceVersion } = watchOptions;
      const asked = { ...options, type, namespace, ...watchOptions };
      return startWatch(
        (query, given) => watchType(transport, discovery, { ...asked, query, given }),
        async function* () {
          const pages = readPages(pageOf(type, namespace, watchOptions));
          for await (const page of pages) yield wholeItems(type, watchOptions, page);
        },
        server,
        resourceVersion,
      );
    },
  };
}

async function* watchType(
  transport: Transport,
  discovery: { forget(type: ResourceType): void },
  options: WatchOptions & ClientOptions & {
    type: ResourceType;
    namespace: string;
    query: Record<string, string>;
    given: AbortSignal | undefined;
  },
): AsyncGenerator<WatchEvent> {
  const { type, namespace, query, signal, given } = options;
  if (signal.aborted) return;
  const { min, max } = WATCH_SECONDS;
  // Watches that began together, after a restart, must not end together.
  const seconds = options.watchSeconds ?? Math.round(min + Math.random() * (max - min));
  const graceMs = options.watchGraceMs ?? WATCH_GRACE_MS;
  const own = new AbortController();
  const end = () => own.abort(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  given?.addEventListener("abort", () => own.abort(given.reason), { once: true });
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
        ...query,
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

/** In a list the items of built-in types come without apiVersion and kind. */
function wholeItems(
  type: ResourceType,
  { metadataOnly }: ListOptions,
  list: ObjectList,
): ObjectList {
  if (metadataOnly) return list;
  return { ...list, items: list.items.map((item) => ({ ...typeMembers(type), ...item })) };
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

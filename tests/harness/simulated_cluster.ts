/**
 * A simulated cluster behind HTTP, which lives while agents die: they reach it by a kubeconfig, through the client
 * that they use for real clusters. It serves a few types and validates nothing; see `src/lib/kube/simulated.ts`.
 */

import { writeFileSync } from "node:fs";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { isObject, type JsonObject } from "../../src/lib/json.ts";
import {
  type Kube,
  KubeError,
  type ListOptions,
  type ObjectRef,
  type WatchEvent,
} from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";

export interface SimulatedCluster extends AsyncDisposable {
  port: number;
  /** The cluster itself: whoever writes here is somebody else to the agent. */
  kube(): Kube;
  /** A new, empty cluster at the same address, as after a disk was lost. */
  wipe(): void;
}

/** Group version, kind and plural of what is served. */
const SERVED: readonly [string, string, string][] = [
  ["v1", "ConfigMap", "configmaps"],
  ["v1", "Namespace", "namespaces"],
  ["v1", "Event", "events"],
  ["apps/v1", "Deployment", "deployments"],
  ["apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"],
  ["work.open-cluster-management.io/v1", "AppliedManifestWork", "appliedmanifestworks"],
  ["authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews"],
  ["authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"],
  ["coordination.k8s.io/v1", "Lease", "leases"],
  ["events.k8s.io/v1", "Event", "events"],
];
const WRITER = { fieldManager: "simulated" };

/**
 * Opens an empty cluster on a free port of 127.0.0.1. Watches of one that `isOld` begin as before Kubernetes 1.19: what a
 * client says of how they should is passed over.
 */
export function openSimulatedCluster({ isOld = false } = {}): SimulatedCluster {
  let kube = createSimulatedKube();
  let life = new AbortController();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) => answer({ kube, isOld, life: life.signal }, request).catch(refuse),
  });
  return {
    port: server.port ?? 0,
    kube: () => kube,
    wipe() {
      life.abort();
      life = new AbortController();
      kube = createSimulatedKube();
    },
    [Symbol.asyncDispose]: async () => {
      life.abort();
      const isForced = true;
      await server.stop(isForced);
    },
  };
}

/** Writes a kubeconfig that leads to a port of 127.0.0.1. */
export function writeKubeconfig(path: string, port: number): void {
  const name = "simulated";
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name, user: {} }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  );
}

interface Served {
  kube: Kube;
  isOld: boolean;
  life: AbortSignal;
}

async function answer({ kube, isOld, life }: Served, request: Request): Promise<Response> {
  const url = new URL(request.url);
  const path = /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))(?:\/namespaces\/([^/]+)(?=\/))?\/?(.*)$/
    .exec(url.pathname);
  const apiVersion = path?.[1] ?? path?.[2] ?? "";
  const namespace = path?.[3] ?? "";
  const [plural = "", name = "", subresource] = (path?.[4] ?? "").split("/");
  const types = SERVED.filter(([version]) => version === apiVersion);
  if (types.length === 0) throw new KubeError(404, "NotFound", "the type is not served");
  if (plural === "") return Response.json(await discovery(kube, types));
  const kind = types.find(([, , known]) => known === plural)?.[1] ?? "";
  const type = await kube.resolve(apiVersion, kind);
  if (type === undefined) throw new KubeError(404, "NotFound", "the type is not served");
  const ref = { type, namespace, name };
  if (request.method !== "GET" || name !== "") return await one(kube, ref, request, subresource);
  if (url.searchParams.get("watch")) return watch(kube, ref, url, life);
  const { items, resourceVersion } = await kube.list(type, namespace, listOptions(url, request));
  return Response.json({ apiVersion, kind: `${kind}List`, metadata: { resourceVersion }, items });

  function watch(kube: Kube, ref: ObjectRef, url: URL, life: AbortSignal): Response {
    const seconds = Number(url.searchParams.get("timeoutSeconds") ?? "300");
    const signal = AbortSignal.any([life, request.signal, AbortSignal.timeout(seconds * 1000)]);
    const resourceVersion = url.searchParams.get("resourceVersion");
    const isFromStart = url.searchParams.get("sendInitialEvents") === "true" && !isOld;
    const options = {
      ...listOptions(url, request),
      ...(isFromStart ? {} : { resourceVersion: resourceVersion ?? "" }),
      signal,
    };
    const lines = async function* () {
      // The headers are sent with the first bytes.
      yield "\n";
      try {
        for await (const event of kube.watch(ref.type, ref.namespace, options)) {
          yield `${JSON.stringify(toldOf(event))}\n`;
        }
      } catch (error) {
        yield `${JSON.stringify({ type: "ERROR", object: statusOf(error) })}\n`;
      }
    };
    return new Response(lines(), { headers: { "content-type": "application/json" } });
  }
}

async function discovery(kube: Kube, types: typeof SERVED): Promise<JsonObject> {
  const resources: JsonObject[] = [];
  for (const [apiVersion, kind, name] of types) {
    const type = await kube.resolve(apiVersion, kind);
    resources.push({ name, kind, namespaced: type?.isNamespaced === true });
  }
  return { kind: "APIResourceList", resources };
}

async function one(
  kube: Kube,
  ref: ObjectRef,
  request: Request,
  subresource: string | undefined,
): Promise<Response> {
  const text = await request.text();
  const body = text === "" ? {} : JSON.parse(text) as JsonObject;
  const found = (object: JsonObject | undefined) => {
    if (object === undefined) throw new KubeError(404, "NotFound", `${ref.name} not found`);
    return Response.json(object);
  };
  if (request.method === "GET") return found(await kube.get(ref));
  if (request.method === "PUT") return found(await kube.replace(ref, body, WRITER));
  if (request.method === "POST") {
    const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
    const named = { ...ref, name: String(metadata["name"] ?? "") };
    return Response.json(await kube.create(named, body, WRITER), { status: 201 });
  }
  if (request.method === "PATCH") {
    const isApply = request.headers.get("content-type")?.includes("apply") === true;
    return found(
      await kube.patch(ref, body, {
        ...WRITER,
        type: isApply ? "apply" : "merge",
        ...(subresource === "status" ? { subresource } : {}),
      }),
    );
  }
  const { preconditions, propagationPolicy } = body as {
    preconditions?: { uid?: string; resourceVersion?: string };
    propagationPolicy?: "Background" | "Foreground" | "Orphan";
  };
  const uid = preconditions?.uid ?? "";
  const isDeleted = await kube.delete(ref, {
    ...preconditions,
    uid,
    propagationPolicy: propagationPolicy ?? "Background",
  });
  return found(isDeleted ? { kind: "Status", status: "Success" } : undefined);
}

function listOptions({ searchParams }: URL, request: Request): ListOptions {
  const fieldSelector = searchParams.get("fieldSelector");
  const labelSelector = searchParams.get("labelSelector");
  return {
    metadataOnly: request.headers.get("accept")?.includes("PartialObjectMetadata") === true,
    ...(fieldSelector === null ? {} : { fieldSelector }),
    ...(labelSelector === null ? {} : { labelSelector }),
  };
}

/** An event as it travels: the end of the first objects is an annotation. */
function toldOf({ type, object, isInitialEnd }: WatchEvent): JsonObject {
  if (!isInitialEnd) return { type, object };
  const annotations = { "k8s.io/initial-events-end": "true" };
  return { type, object: { metadata: { ...metadataOf(object), annotations } } };
}

function refuse(error: unknown): Response {
  const status = statusOf(error);
  return Response.json(status, { status: Number(status["code"]) });
}

function statusOf(error: unknown): JsonObject {
  const { status = 500, reason = "InternalError" } = error instanceof KubeError ? error : {};
  const message = error instanceof Error ? error.message : String(error);
  // A 404 for an object names it, one for a type does not.
  const details = message.endsWith("is not served") ? {} : { name: "it" };
  return { kind: "Status", status: "Failure", code: status, reason, message, details };
}

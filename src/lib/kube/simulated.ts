/**
 * A cluster that exists only in memory, for demos and benches.
 *
 * It keeps objects, versions, owners and finalizers as an API server and its garbage collector do, and plays the
 * Deployment controller. It knows no schema: any kind is accepted, nothing is validated or defaulted. No test
 * that claims Kubernetes behaviour runs on it.
 */

import type { JsonObject } from "../json.ts";
import { guessResource } from "../wire/work_spec.ts";
import { type Kube, KubeError, type ObjectRef, type ResourceType } from "../work/kube_api.ts";
import { parseApiVersion } from "./discovery.ts";
import { matcherOf } from "./selectors.ts";
import { availableStatus } from "./simulated_deployment.ts";
import {
  changedObject,
  mergePatch,
  metadataOf,
  newObject,
  shownName,
  timestamp,
} from "./simulated_object.ts";
import { read, readAll, remove, type Store, watch, write } from "./simulated_store.ts";
import { createLoopTurns } from "./simulated_turns.ts";
import { inNamespace, presented } from "./simulated_watch.ts";
import { initialEvents } from "./watch_start.ts";

export interface SimulationOptions {
  /** How long the pods of a Deployment take to run; 5 ms unless given. */
  availableAfterMs?: number;
}

/** Kinds without a namespace; any other kind has one. */
const CLUSTER_SCOPED = new Set(
  ("APIService AppliedManifestWork CertificateSigningRequest ClusterRole ClusterRoleBinding " +
    "CSIDriver CSINode CustomResourceDefinition FlowSchema IngressClass ManagedCluster " +
    "MutatingWebhookConfiguration Namespace Node PersistentVolume PriorityClass " +
    "PriorityLevelConfiguration RuntimeClass SelfSubjectAccessReview StorageClass " +
    "SubjectAccessReview TokenReview ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding " +
    "ValidatingWebhookConfiguration VolumeAttachment").split(" "),
);

/** Starts an empty cluster. */
export function createSimulatedKube(options: SimulationOptions = {}): Kube {
  const { availableAfterMs = 5 } = options;
  const store: Store = {
    shelves: new Map(),
    version: 1,
    onWritten: (ref, object) => playDeployment(store, ref, object, availableAfterMs),
  };
  const turn = createLoopTurns();
  const list: Kube["list"] = async (type, namespace, listOptions = {}) => {
    await turn();
    const matches = inNamespace(namespace, matcherOf(listOptions));
    const items = readAll(store, type).filter(matches);
    return {
      items: items.map((item) => presented(item, listOptions)),
      resourceVersion: String(store.version),
    };
  };
  async function* fromStart(...[type, namespace, watchOptions]: Parameters<Kube["watch"]>) {
    const all = await list(type, namespace, watchOptions);
    yield* initialEvents([all]);
    const { resourceVersion } = all;
    yield* watch(store, type, namespace, { ...watchOptions, resourceVersion });
  }
  return {
    description: "simulated",
    resolve: (apiVersion, kind) => Promise.resolve(typeOf(apiVersion, kind)),
    relocate: (type) => Promise.resolve(type),
    async get(ref) {
      await turn();
      return read(store, ref);
    },
    async create(given, object, { isDryRun }) {
      await turn();
      const ref = { ...given, name: given.name || generatedName(object) };
      // Nobody here may do less than anybody else.
      if (/Review$/.test(ref.type.kind)) return { ...object, status: { allowed: true } };
      if (read(store, ref)) {
        throw new KubeError(409, "AlreadyExists", `${shownName(ref)} already exists`);
      }
      const created = newObject(ref, object, timestamp());
      // Nobody would read events here; they would only pile up.
      const isKept = ref.type.kind !== "Event" && !isDryRun;
      return isKept ? write(store, ref, undefined, created) : created;
    },
    async replace(ref, object, { isDryRun }) {
      await turn();
      const before = read(store, ref);
      if (before === undefined) throw notFound(ref);
      const after = changedObject(ref, before, object);
      return isDryRun ? after : write(store, ref, before, after);
    },
    async patch(ref, patch, { type, subresource, isDryRun }) {
      await turn();
      const before = read(store, ref);
      if (before === undefined && type === "merge") return undefined;
      if (before === undefined && subresource !== undefined) throw notFound(ref);
      const after = before === undefined
        ? newObject(ref, mergePatch({}, patch), timestamp())
        : changedObject(ref, before, mergePatch(before, patch), subresource);
      return isDryRun ? after : write(store, ref, before, after);
    },
    async delete(ref, { uid, resourceVersion, propagationPolicy }) {
      await turn();
      const before = read(store, ref);
      if (before === undefined) return false;
      const actual = metadataOf(before);
      if (actual["uid"] !== uid) {
        const ids = `UID in precondition: ${uid}, UID in object meta: ${actual["uid"]}`;
        throw new KubeError(409, "Conflict", `Precondition failed: ${ids}`);
      }
      if ((resourceVersion ?? actual["resourceVersion"]) !== actual["resourceVersion"]) {
        throw new KubeError(409, "Conflict", "Precondition failed: ResourceVersion");
      }
      remove(store, ref, propagationPolicy);
      return true;
    },
    list,
    watch(type, namespace, watchOptions) {
      const { resourceVersion } = watchOptions;
      return resourceVersion === undefined
        ? fromStart(type, namespace, watchOptions)
        : watch(store, type, namespace, { ...watchOptions, resourceVersion });
    },
  };
}

/** Does what the Deployment controller and the pods would do: a moment after a change everything runs. */
function playDeployment(store: Store, ref: ObjectRef, written: JsonObject, afterMs: number): void {
  if (ref.type.group !== "apps" || ref.type.kind !== "Deployment") return;
  const { uid, generation } = metadataOf(written);
  const status = written["status"] as JsonObject | undefined;
  if (status?.["observedGeneration"] === generation) return;
  // A timer that nobody waits for must not keep the process.
  setTimeout(() => {
    const now = read(store, ref);
    if (now === undefined) return;
    const metadata = metadataOf(now);
    if (metadata["uid"] !== uid || metadata["generation"] !== generation) return;
    write(store, ref, now, { ...now, status: availableStatus(now, timestamp()) });
  }, afterMs).unref();
}

function typeOf(apiVersion: string, kind: string): ResourceType | undefined {
  const parts = parseApiVersion(apiVersion);
  if (parts === undefined || kind === "") return undefined;
  return { ...parts, kind, resource: guessResource(kind), isNamespaced: !CLUSTER_SCOPED.has(kind) };
}

function generatedName(object: JsonObject): string {
  const { name, generateName = "" } = metadataOf(object);
  return String(name ?? `${generateName}${crypto.randomUUID().slice(0, 5)}`);
}

function notFound(ref: ObjectRef): KubeError {
  return new KubeError(404, "NotFound", `${shownName(ref)} not found`);
}

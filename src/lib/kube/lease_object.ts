/** A Lease (coordination.k8s.io/v1) as an object on the cluster: read, and written by whom has read it last. */

import { isObject, type JsonObject } from "../json.ts";
import { type Kube, KubeError, type ObjectRef } from "../work/kube_api.ts";

/** What a Lease says. Times in it are other clocks' and are only written, never compared. */
export interface LeaseRecord {
  /** Empty if nobody holds it. */
  holder: string;
  durationMs: number;
  transitions: number;
  acquireTime: string;
  renewTime: string;
  annotations: Record<string, string>;
  resourceVersion: string;
}

export interface LeaseObject {
  readonly ref: ObjectRef;
  read(): Promise<LeaseRecord | undefined>;
  /** Writes over the version that `record` was read as, or creates it; undefined if somebody was faster. */
  write(
    record: Omit<LeaseRecord, "resourceVersion">,
    over?: LeaseRecord,
  ): Promise<LeaseRecord | undefined>;
  /**
   * Waits until the Lease is another than this version and `isNews` says that it matters: true. False if the signal
   * aborts or the server ends the watch before. Rejects if it cannot be watched.
   */
  changed(
    since: LeaseRecord,
    isNews: (record: LeaseRecord | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<boolean>;
}

/** The Lease of this name. Nothing is asked yet. */
export function leaseObject(kube: Kube, namespace: string, name: string): LeaseObject {
  const ref: ObjectRef = { type: LEASES, namespace, name };
  return {
    ref,
    async read() {
      const found = await kube.get(ref);
      return found && parse(found);
    },
    async write(record, over) {
      const object = present(ref, record, over?.resourceVersion);
      const options = { fieldManager: "maestro-agent" };
      try {
        return parse(
          over === undefined
            ? await kube.create(ref, object, options)
            : await kube.replace(ref, object, options),
        );
      } catch (error) {
        const isLate = error instanceof KubeError &&
          (error.status === 409 || error.status === 404) &&
          error.reason !== "PathNotFound" && !/namespaces? .* not found/.test(error.message);
        if (isLate) return undefined;
        throw error;
      }
    },
    async changed({ resourceVersion }, isNews, signal) {
      const events = kube.watch(LEASES, namespace, {
        fieldSelector: `metadata.name=${name}`,
        resourceVersion,
        signal,
      });
      for await (const { type, object } of events) {
        if (type === "BOOKMARK") continue;
        if (isNews(type === "DELETED" ? undefined : parse(object))) return true;
      }
      return false;
    },
  };
}

const LEASES = {
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  resource: "leases",
  isNamespaced: true,
};

/** The time as Leases have it: microseconds. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

function parse(object: JsonObject): LeaseRecord {
  const spec = isObject(object["spec"]) ? object["spec"] : {};
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  return {
    holder: String(spec["holderIdentity"] ?? ""),
    durationMs: Number(spec["leaseDurationSeconds"] ?? 0) * 1000,
    transitions: Number(spec["leaseTransitions"] ?? 0),
    acquireTime: String(spec["acquireTime"] ?? ""),
    renewTime: String(spec["renewTime"] ?? ""),
    annotations: (metadata["annotations"] ?? {}) as Record<string, string>,
    resourceVersion: String(metadata["resourceVersion"] ?? ""),
  };
}

function present(
  { namespace, name }: ObjectRef,
  record: Omit<LeaseRecord, "resourceVersion">,
  resourceVersion: string | undefined,
): JsonObject {
  const { holder, durationMs, transitions, acquireTime, renewTime, annotations } = record;
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      ...{ name, namespace, annotations },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    spec: {
      holderIdentity: holder,
      // Whole seconds, and the API refuses 0.
      leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1000)),
      leaseTransitions: transitions,
      acquireTime,
      renewTime,
    },
  };
}

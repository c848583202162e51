/** What the tests of the Kubernetes door share: an open door, and objects of their own. */

import { findKubeAccess } from "../../src/lib/kube/access.ts";
import { type ClientOptions, openKube } from "../../src/lib/kube/client.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { type Kube, KubeError, type ObjectRef } from "../../src/lib/work/kube_api.ts";

/** Fast enough that no test waits for its turn. */
const UNHURRIED = { qps: 10_000, burst: 10_000 };

/** The door that a kubeconfig file leads to. */
export async function openKubeconfig(kubeconfig: string, options?: ClientOptions): Promise<Kube> {
  return openKube(await findKubeAccess({ kubeconfig }, process.env), { ...UNHURRIED, ...options });
}

let count = 0;

/** A name that no other test uses. */
export function newName(prefix = "test"): string {
  return `${prefix}-${++count}-${crypto.randomUUID().slice(0, 8)}`;
}

/** Where an object of a kind is, or will be. */
export async function refOf(
  kube: Kube,
  apiVersion: string,
  kind: string,
  name = newName(),
): Promise<ObjectRef> {
  const type = await kube.resolve(apiVersion, kind);
  if (type === undefined) throw new Error(`${apiVersion} ${kind} is not served`);
  return { type, namespace: type.isNamespaced ? "default" : "", name };
}

/** Who writes in the tests. */
export const WRITER = { fieldManager: "tests" };

/** A ConfigMap that is not there yet. */
export function configMap({ name }: ObjectRef, members: JsonObject = { a: "1" }): JsonObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: members };
}

/** A definition of a cluster-scoped type whose objects may hold anything. */
export function definition(kind: string): JsonObject {
  const plural = `${kind.toLowerCase()}s`;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.tests.example.com` },
    spec: {
      group: "tests.example.com",
      scope: "Cluster",
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [{
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      }],
    },
  };
}

/** The metadata of an object. */
export function metadata(object: JsonObject | undefined): Record<string, string> {
  return (object?.["metadata"] ?? {}) as Record<string, string>;
}

/** The refusal that a call ends with. */
export async function refusal(call: Promise<unknown>): Promise<KubeError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof KubeError) return error;
    throw error;
  }
  throw new Error("The call was not refused");
}

/** Manifests that several tests send. */

import type { JsonObject } from "../../src/lib/json.ts";

const RBAC = "rbac.authorization.k8s.io";

/** The beginning of any manifest; cluster-scoped kinds lose the namespace. */
export function named(apiVersion: string, kind: string, name: string): JsonObject {
  return { apiVersion, kind, metadata: { name, namespace: "default" } };
}

/** A Deployment as `deploymentOf` makes it. */
export type Deployment = JsonObject & { spec: JsonObject & { template: JsonObject } };

/** A Deployment whose pods nobody could run, with more of its spec as given. */
export function deploymentOf(
  name: string,
  spec: JsonObject,
  container: JsonObject = {},
): Deployment {
  const labels = { app: name };
  return {
    ...named("apps/v1", "Deployment", name),
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: "c", image: "none", ...container }] },
      },
      ...spec,
    },
  };
}

/** A ServiceAccount, a Role and a RoleBinding of the two. */
export function access(id: string, account: string): [JsonObject, JsonObject, JsonObject] {
  const name = `r-${id}`;
  return [
    named("v1", "ServiceAccount", account),
    {
      ...named(`${RBAC}/v1`, "Role", name),
      rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }],
    },
    {
      ...named(`${RBAC}/v1`, "RoleBinding", name),
      roleRef: { apiGroup: RBAC, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name: account, namespace: "default" }],
    },
  ];
}

/** A ClusterRole that names a namespace, which it cannot have. */
export function clusterRole(name: string, namespace: string): JsonObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRole",
    metadata: { name, namespace },
    rules: [],
  };
}

/** A custom resource named "one". */
export function thing(group: string, spec: JsonObject, annotations: JsonObject = {}): JsonObject {
  const metadata = { name: "one", namespace: "default", annotations };
  return { apiVersion: `${group}/v1`, kind: "Thing", metadata, spec };
}

/** The definition of the kind Thing, whose objects may hold anything. */
export function thingDefinition(group: string, versions: readonly string[] = ["v1"]): JsonObject {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind: "Thing", listKind: "ThingList", plural: "things", singular: "thing" },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      })),
    },
  };
}

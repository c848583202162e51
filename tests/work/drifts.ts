/** Edits of applied objects by others, kind by kind, and what has to become of them. */

import type { JsonObject } from "../../src/lib/json.ts";
import { named } from "./manifests.ts";

/** What somebody else does to an applied object, and what is there in the end. */
export interface Drift {
  what: string;
  manifest: (name: string) => JsonObject;
  /** A merge patch of somebody else. */
  edit: JsonObject;
  path: string;
  expected: unknown;
}

/** A Pod that nobody runs, with more of its spec as given. */
export const podOf = (name: string, spec: JsonObject = {}): JsonObject => ({
  ...named("v1", "Pod", name),
  spec: { containers: [{ name: "c", image: "none:1" }], ...spec },
});

const policyOf = (name: string) => ({
  ...named("networking.k8s.io/v1", "NetworkPolicy", name),
  spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { a: "b" } } }] }] },
});

/** One for each rule that peers have by kind. */
export const DRIFTS: Drift[] = [
  {
    what: "the image of a Pod",
    manifest: podOf,
    edit: { spec: { containers: [{ name: "c", image: "other:2" }] } },
    path: "spec.containers.0.image",
    expected: "none:1",
  },
  {
    what: "the token rule of a ServiceAccount",
    manifest: (name) => ({
      ...named("v1", "ServiceAccount", name),
      automountServiceAccountToken: false,
    }),
    edit: { automountServiceAccountToken: true },
    path: "automountServiceAccountToken",
    expected: false,
  },
  {
    what: "a port of a Service",
    manifest: (name) => ({
      ...named("v1", "Service", name),
      spec: { selector: { a: "b" }, ports: [{ port: 80 }] },
    }),
    edit: { spec: { ports: [{ port: 81 }] } },
    path: "spec.ports.0.port",
    expected: 80,
  },
  {
    what: "a label of a Namespace",
    manifest: (name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { tier: "one" } },
    }),
    edit: { metadata: { labels: { tier: "two" } } },
    path: "metadata.labels.tier",
    expected: "one",
  },
  {
    what: "another rule of a NetworkPolicy",
    manifest: policyOf,
    edit: { spec: { ingress: [...policyOf("").spec.ingress, {}] } },
    path: "spec.ingress",
    expected: policyOf("").spec.ingress,
  },
  {
    what: "a member that a NetworkPolicy does not name",
    manifest: policyOf,
    edit: { spec: { egress: [{}], policyTypes: ["Ingress", "Egress"] } },
    path: "spec.egress",
    expected: undefined,
  },
  {
    what: "a subject of a RoleBinding",
    manifest: (name) => ({
      ...named("rbac.authorization.k8s.io/v1", "RoleBinding", name),
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name, namespace: "default" }],
    }),
    edit: { subjects: null },
    path: "subjects.0.kind",
    expected: "ServiceAccount",
  },
  {
    what: "the budget of a PodDisruptionBudget",
    manifest: (name) => ({
      ...named("policy/v1", "PodDisruptionBudget", name),
      spec: { minAvailable: 1, selector: { matchLabels: { a: "b" } } },
    }),
    edit: { spec: { minAvailable: 2 } },
    path: "spec.minAvailable",
    expected: 1,
  },
];

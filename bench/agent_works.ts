/** The works of the agent's bench. */

import type { JsonObject } from "../src/lib/json.ts";
import { resourceId } from "./load/events.ts";

/** A work as it is sent. */
export interface BenchWork {
  id: string;
  data: string;
}

const RBAC = "rbac.authorization.k8s.io";

/** The nth work, of so many ConfigMaps. Many are small: all together may have 500 KiB. */
export function singleWork(n: number, count: number): BenchWork {
  const manifests = Array.from({ length: count }, (_, index) => ({
    ...named("v1", "ConfigMap", `single-${n}-${index}`),
    ...(count > 1000 ? {} : { data: { value: "x".repeat(200) } }),
  }));
  return { id: resourceId(n), data: JSON.stringify({ manifests }) };
}

/** Another nth work, of ten manifests of ten kinds, as an application is made of. */
export function mixedWork(n: number): BenchWork {
  const name = `mixed-${n}`;
  const labels = { app: name };
  const pod = {
    metadata: { labels },
    spec: {
      serviceAccountName: name,
      containers: [{ name: "app", image: "registry.test/app:1", ports: [{ containerPort: 80 }] }],
    },
  };
  const manifests = [
    { ...named("v1", "ConfigMap", name), data: { value: "x".repeat(200) } },
    { ...named("v1", "Secret", name), stringData: { password: "secret" } },
    named("v1", "ServiceAccount", name),
    {
      ...named(`${RBAC}/v1`, "Role", name),
      rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }],
    },
    {
      ...named(`${RBAC}/v1`, "RoleBinding", name),
      roleRef: { apiGroup: RBAC, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name, namespace: "default" }],
    },
    { ...named("v1", "Service", name), spec: { clusterIP: "None", selector: labels } },
    {
      ...named("apps/v1", "Deployment", name),
      spec: { replicas: 2, selector: { matchLabels: labels }, template: pod },
    },
    {
      ...named("autoscaling/v2", "HorizontalPodAutoscaler", name),
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
        minReplicas: 2,
        maxReplicas: 4,
      },
    },
    {
      ...named("networking.k8s.io/v1", "NetworkPolicy", name),
      spec: { podSelector: { matchLabels: labels }, ingress: [{}] },
    },
    {
      ...named("policy/v1", "PodDisruptionBudget", name),
      spec: { minAvailable: 1, selector: { matchLabels: labels } },
    },
  ];
  return { id: resourceId(1_000_000 + n), data: JSON.stringify({ manifests }) };
}

function named(apiVersion: string, kind: string, name: string): JsonObject {
  return { apiVersion, kind, metadata: { name, namespace: "default" } };
}

/** The order of kinds: what others need is applied first and deleted last. */

const RANKS: readonly (readonly string[])[] = [
  [
    "PriorityClass",
    "Namespace",
    "CustomResourceDefinition",
    "StorageClass",
    "PersistentVolume",
    "PodSecurityPolicy",
  ],
  ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
  ["NetworkPolicy", "ResourceQuota", "LimitRange", "PodDisruptionBudget", "ServiceAccount"],
  ["Secret", "ConfigMap", "PersistentVolumeClaim"],
  ["Service"],
  [
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
  ],
  [
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
  ],
];

/** Custom resources, Ingresses and all the rest. */
const OTHER_RANK = 1000;

const BY_KIND = new Map(RANKS.flatMap((kinds, rank) => kinds.map((kind) => [kind, rank] as const)));
const BY_RESOURCE = new Map(
  [...BY_KIND].map(([kind, rank]) => [pluralOf(kind), rank] as const),
);

/** The rank of a kind; manifests are applied from the lowest rank upwards. */
export function kindRank(kind: string): number {
  return BY_KIND.get(kind) ?? OTHER_RANK;
}

/** The rank of a resource (`deployments`); objects are deleted from the highest rank downwards. */
export function resourceRank(resource: string): number {
  return BY_RESOURCE.get(resource) ?? OTHER_RANK;
}

function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower.endsWith("y")) return `${lower.slice(0, -1)}ies`;
  return lower.endsWith("s") ? `${lower}es` : `${lower}s`;
}

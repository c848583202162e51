/** Examples in the style of the first README: a cluster, a deployment of nginx, and what becomes of it. */

const ID = "f428e21d-71cb-47a4-8d7f-82a65d9a4048";
const CONSUMER_ID = "3f28c601-5028-47f4-9264-5cc43f2f27fb";
const V1 = "/api/maestro/v1";
const CREATED = "2023-11-23T09:26:13.43061Z";

/** The manifest of all examples. */
export const NGINX = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "nginx", namespace: "default" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "nginx" } },
    template: {
      metadata: { labels: { app: "nginx" } },
      spec: { containers: [{ image: "nginxinc/nginx-unprivileged", name: "nginx" }] },
    },
  },
};

/** The same as kubectl takes it. */
export const NGINX_YAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx
  namespace: default
spec:
  replicas: 1
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      containers:
        - image: nginxinc/nginx-unprivileged
          name: nginx
`;

const condition = (type: string, reason: string, message: string) => ({
  lastTransitionTime: "2023-11-23T09:26:13Z",
  ...{ message, reason, status: "True", type },
});

const CONDITIONS = [
  condition("Applied", "AppliedManifestComplete", "Apply manifest complete"),
  condition("Available", "ResourceAvailable", "Resource is available"),
  condition("StatusFeedbackSynced", "StatusFeedbackSynced", ""),
];

const CONTENT_STATUS = {
  availableReplicas: 1,
  observedGeneration: 1,
  readyReplicas: 1,
  replicas: 1,
  updatedReplicas: 1,
};

const PENDING = {
  applied_version: 0,
  attempts: 1,
  delivered_version: 0,
  message: "version 1 is waiting for the agent of cluster1, connected",
  next_send_at: "2023-11-23T09:26:23.43061Z",
  sent_at: "2023-11-23T09:26:13.451902Z",
  state: "pending",
};

const APPLIED = {
  applied_version: 1,
  attempts: 1,
  delivered_version: 1,
  message: "version 1 is applied",
  sent_at: "2023-11-23T09:26:13.451902Z",
  state: "applied",
};

export const NEW_CONSUMER = {
  connection: "unknown",
  created_at: "2023-12-08T11:35:08.557451Z",
  href: `${V1}/consumers/${CONSUMER_ID}`,
  id: CONSUMER_ID,
  kind: "Consumer",
  name: "cluster1",
  updated_at: "2023-12-08T11:35:08.557451Z",
};

export const CONSUMER = {
  ...NEW_CONSUMER,
  connection: "connected",
  last_seen_at: "2023-12-08T11:40:01.102938Z",
  agent_version: "0.1.0",
};

const SHARED = {
  consumer_name: "cluster1",
  created_at: CREATED,
  id: ID,
  name: ID,
  updated_at: CREATED,
  version: 1,
};

const GROUP_RESOURCE = { group: "apps", resource: "deployments" };

export const RESOURCE = {
  ...SHARED,
  delete_option: { propagationPolicy: "Foreground" },
  delivery: PENDING,
  group_resource: GROUP_RESOURCE,
  href: `${V1}/resources/${ID}`,
  kind: "Resource",
  manifest: NGINX,
  update_strategy: { type: "ServerSideApply" },
};

export const RESOURCE_APPLIED = {
  ...RESOURCE,
  delivery: APPLIED,
  status: {
    ContentStatus: CONTENT_STATUS,
    ReconcileStatus: {
      Conditions: CONDITIONS,
      ObservedVersion: 1,
      SequenceID: "1744926882802962432",
    },
  },
};

const META = {
  ...{ ordinal: 0, group: "apps", version: "v1", kind: "Deployment", resource: "deployments" },
  ...{ name: "nginx", namespace: "default" },
};

export const BUNDLE = {
  ...SHARED,
  id: "web",
  name: "web",
  delete_option: {},
  delivery: PENDING,
  href: `${V1}/resource-bundles/web`,
  kind: "ResourceBundle",
  manifest_configs: [],
  manifests: [NGINX],
  metadata: { creationTimestamp: "2023-11-23T09:26:13Z", labels: { app: "web" } },
};

export const BUNDLE_APPLIED = {
  ...BUNDLE,
  delivery: APPLIED,
  status: {
    ObservedVersion: 1,
    SequenceID: "1744926882802962432",
    conditions: CONDITIONS.slice(0, 2),
    resourceStatus: [{ conditions: CONDITIONS, resourceMeta: META, statusFeedback: {} }],
  },
};

/** A page of a list with these items. */
export function page(kind: string, items: readonly unknown[]): Record<string, unknown> {
  return { items, kind, page: 1, size: items.length, total: items.length };
}

export const ERROR = {
  code: "maestro-7",
  href: `${V1}/errors/7`,
  id: "7",
  kind: "Error",
  operation_id: "2Yx3pbZ3bYVtWnO8Xm1Qe0hFkzr",
  reason: `Resource with id='${ID}' not found`,
};

export const LOGIN_REFUSED = {
  kind: "Error",
  id: "401",
  href: "/api/maestro/errors/401",
  code: "API-401",
  reason: "Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie",
};

/** A stream: what is there, then a sign of life, then a change. */
export const STREAM = `event: added
data: ${JSON.stringify(BUNDLE)}

id: MS5mMjJmMjY1ZGE2ZTIuMTQ0MC4w
event: bookmark
data: {}

id: MS5mMjJmMjY1ZGE2ZTIuMTQ0NC4x
event: modified
data: ${JSON.stringify(BUNDLE_APPLIED)}

`;

export const CLOUD_EVENT = {
  specversion: "1.0",
  id: "1",
  source: "me",
  type: "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
  resourceid: "web",
  resourceversion: 0,
  clustername: "cluster1",
  datacontenttype: "application/json",
  data: { manifests: [NGINX] },
};

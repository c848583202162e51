/** What some kinds need beyond the general rules: members that are the manifest's alone, and those that others fill in. */

import { isObject, type JsonObject } from "../json.ts";
import { metadataOf } from "./work.ts";

/** Members of which the object has no more than the manifest says. */
const EXACT: Record<string, readonly string[]> = {
  ConfigMap: ["data", "binaryData"],
  Secret: ["data"],
  Role: ["rules"],
  ClusterRole: ["rules"],
  RoleBinding: ["subjects"],
  ClusterRoleBinding: ["subjects"],
};

/** Kinds whose whole spec is the manifest's, though the server adds defaults to it. */
const EXACT_SPEC = new Set([
  "NetworkPolicy",
  "PodDisruptionBudget",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
]);

/** Keys of a ConfigMap into which OpenShift puts certificates, by the mark that asks for them. */
const INJECTED = [
  { key: "ca-bundle.crt", of: "labels", mark: "config.openshift.io/inject-trusted-cabundle" },
  { key: "service-ca.crt", of: "annotations", mark: "service.beta.openshift.io/inject-cabundle" },
];

/** The members that are the manifest's alone and can be compared as they are. */
export function exactMembers(manifest: JsonObject): readonly string[] {
  const kind = String(manifest["kind"]);
  // The controllers of aggregated roles and token secrets fill these members in.
  if (kind === "ClusterRole" && manifest["aggregationRule"]) return [];
  if (manifest["type"] === "kubernetes.io/service-account-token") return [];
  return EXACT[kind] ?? [];
}

/** True for kinds whose spec is the manifest's alone, defaults apart. */
export function hasExactSpec({ kind }: JsonObject): boolean {
  return EXACT_SPEC.has(String(kind));
}

/** The manifest with what is put into the live object for it: certificates, and tolerations of a Pod. */
export function withInjected(manifest: JsonObject, live: JsonObject): JsonObject {
  const kind = String(manifest["kind"]);
  if (kind === "ConfigMap") return withCertificates(manifest, live);
  if (kind === "Pod") return withTolerations(manifest, live);
  return /WebhookConfiguration$/.test(kind) ? withBundles(manifest, live) : manifest;
}

/** What the merge made of the object, with the members that are the manifest's alone as it has them. */
export function asExact(merged: JsonObject, manifest: JsonObject): JsonObject {
  const members = [
    ...exactMembers(manifest),
    ...(hasExactSpec(manifest) ? ["spec"] : []),
    ...(/WebhookConfiguration$/.test(String(manifest["kind"])) ? ["webhooks"] : []),
  ];
  const exact: JsonObject = { ...merged };
  for (const name of members) {
    if (manifest[name] === undefined) delete exact[name];
    else exact[name] = manifest[name];
  }
  return manifest["kind"] === "Service" ? withItsPorts(exact, manifest) : exact;
}

// A port that was edited by hand would stay beside the one of the manifest. The server keeps the node ports.
function withItsPorts(service: JsonObject, manifest: JsonObject): JsonObject {
  const [{ spec }, { spec: wanted }] = [service, manifest];
  if (!isObject(spec) || !isObject(wanted) || wanted["ports"] === undefined) return service;
  return { ...service, spec: { ...spec, ports: wanted["ports"] } };
}

function withCertificates(manifest: JsonObject, live: JsonObject): JsonObject {
  const current = isObject(live["data"]) ? live["data"] : {};
  const wanted = isObject(manifest["data"]) ? manifest["data"] : {};
  const kept: JsonObject = {};
  for (const { key, of, mark } of INJECTED) {
    const marks = [metadataOf(manifest)[of], metadataOf(live)[of]].filter(isObject);
    const isAsked = marks.some((map) => map[mark] === "true");
    if (isAsked && current[key] !== undefined && wanted[key] === undefined) {
      kept[key] = current[key];
    }
  }
  if (Object.keys(kept).length === 0) return manifest;
  return { ...manifest, data: { ...wanted, ...kept } };
}

// Admission adds some to every Pod, and none may be taken away.
function withTolerations(manifest: JsonObject, live: JsonObject): JsonObject {
  const { spec } = manifest;
  const current = isObject(live["spec"]) ? live["spec"]["tolerations"] : undefined;
  if (!isObject(spec) || !Array.isArray(spec["tolerations"]) || !Array.isArray(current)) {
    return manifest;
  }
  const wanted: unknown[] = spec["tolerations"];
  const extra = current.filter((item) => !wanted.some((each) => Bun.deepEquals(each, item)));
  const isAdded = (item: unknown) =>
    isObject(item) && String(item["key"]).startsWith("node.kubernetes.io/");
  return { ...manifest, spec: { ...spec, tolerations: [...wanted, ...extra.filter(isAdded)] } };
}

// Injected by a certificate controller into the live object.
function withBundles(manifest: JsonObject, live: JsonObject): JsonObject {
  const current = Array.isArray(live["webhooks"]) ? live["webhooks"].filter(isObject) : [];
  const webhooks: unknown[] = Array.isArray(manifest["webhooks"]) ? manifest["webhooks"] : [];
  return {
    ...manifest,
    webhooks: webhooks.map((webhook) => {
      if (!isObject(webhook) || !isObject(webhook["clientConfig"])) return webhook;
      const same = current.find(({ name }) => name === webhook["name"]);
      const bundle = isObject(same?.["clientConfig"])
        ? same["clientConfig"]["caBundle"]
        : undefined;
      if (webhook["clientConfig"]["caBundle"] || bundle === undefined) return webhook;
      return { ...webhook, clientConfig: { ...webhook["clientConfig"], caBundle: bundle } };
    }),
  };
}

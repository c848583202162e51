/** Which rights the agent lacks that it needs for itself: told by name at the start, not by a failure later. */

import { isObject, type JsonObject } from "../json.ts";
import type { Kube, ObjectRef } from "../work/kube_api.ts";

/** Verbs on one resource, perhaps of one namespace. */
export interface Need {
  group: string;
  /** With its subresource, if any: `appliedmanifestworks/status`. */
  resource: string;
  verbs: string[];
  namespace?: string;
}

const LEDGER = { group: "work.open-cluster-management.io", resource: "appliedmanifestworks" };

/** What no agent can do without. What works contain is theirs: it is told in their conditions. */
export async function ownNeeds(kube: Kube, leases?: { namespace: string }): Promise<Need[]> {
  const isServed = await kube.resolve(`${LEDGER.group}/v1`, "AppliedManifestWork") !== undefined;
  const definitions = { group: "apiextensions.k8s.io", resource: "customresourcedefinitions" };
  const verbs = ["get", "list", "watch", "create", "patch", "delete"];
  return [
    ...(isServed ? [] : [{ ...definitions, verbs: ["create"] }]),
    { ...LEDGER, verbs },
    { ...LEDGER, resource: `${LEDGER.resource}/status`, verbs: ["patch"] },
    ...(leases === undefined ? [] : [{
      ...{ group: "coordination.k8s.io", resource: "leases", verbs: ["get", "create", "update"] },
      ...leases,
    }]),
  ];
}

/** One sentence on what is missing and for whom; undefined if nothing is. */
export async function describeMissing(
  kube: Kube,
  needs: readonly Need[],
): Promise<string | undefined> {
  const asked = needs.flatMap((need) => need.verbs.map((verb) => ({ need, verb })));
  const answers = await Promise.all(asked.map(({ need, verb }) => isAllowed(kube, need, verb)));
  const lacking = asked.filter((_, index) => answers[index] === false);
  if (lacking.length === 0) return undefined;
  const byNeed = Map.groupBy(lacking, ({ need }) => need);
  const parts = [...byNeed].map(([{ group, resource, namespace }, missing]) => {
    const verbs = missing.map(({ verb }) => verb).join(", ");
    const place = namespace === undefined ? "" : ` in namespace "${namespace}"`;
    return `${verbs} on ${resource}.${group}${place}`;
  });
  return `${await whoAmI(kube)} lacks the rights to ${parts.join("; to ")}`;
}

async function isAllowed(kube: Kube, need: Need, verb: string): Promise<boolean> {
  const { group, namespace = "" } = need;
  const [resource = "", subresource = ""] = need.resource.split("/");
  const { status } = await ask(kube, REVIEWS, {
    spec: { resourceAttributes: { group, resource, subresource, verb, namespace } },
  });
  return isObject(status) && status["allowed"] === true;
}

async function whoAmI(kube: Kube): Promise<string> {
  try {
    const { status } = await ask(kube, SELF, {});
    const user = isObject(status) ? status["userInfo"] : undefined;
    return `"${String(isObject(user) ? user["username"] : "this user")}"`;
  } catch {
    // Clusters before 1.28 do not say.
    return "this user";
  }
}

async function ask(kube: Kube, ref: ObjectRef, body: JsonObject): Promise<JsonObject> {
  const { group, kind } = ref.type;
  const object = { apiVersion: `${group}/v1`, kind, ...body };
  return await kube.create(ref, object, { fieldManager: "maestro-agent" });
}

const REVIEWS = reviewRef("authorization.k8s.io", "SelfSubjectAccessReview");
const SELF = reviewRef("authentication.k8s.io", "SelfSubjectReview");

function reviewRef(group: string, kind: string): ObjectRef {
  const resource = `${kind.toLowerCase()}s`;
  return {
    type: { group, version: "v1", kind, resource, isNamespaced: false },
    namespace: "",
    name: "",
  };
}

/** Whether the service account that a work names may do what the work wants. */

import { isObject, type JsonObject } from "../json.ts";
import type { Executor } from "../wire/work_spec.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { Refusal } from "./refusal.ts";
import { FIELD_OWNER } from "./work.ts";

/** Rights may be granted at any time; asking more often costs the API server more. */
const RETRY_MS = 60_000;

const RBAC_GROUP = "rbac.authorization.k8s.io";

/** The verb that lets a user write rights that it does not have itself. */
const ESCALATION_VERBS: Record<string, string> = {
  roles: "escalate",
  clusterroles: "escalate",
  rolebindings: "bind",
  clusterrolebindings: "bind",
};

/**
 * Throws a `Refusal` if the executor may not apply this object. Without an executor everything is allowed.
 *
 * Roles and bindings also need the right to escalate or bind: peers try a dry run as the executor instead, which
 * allows it as well if the executor has all the rights that the object grants.
 */
export async function checkExecutor(
  kube: Kube,
  executor: Executor | undefined,
  ref: ObjectRef,
  isOwned: boolean,
): Promise<void> {
  if (executor === undefined) return;
  const { namespace, name } = accountOf(executor);
  const user = {
    user: `system:serviceaccount:${namespace}:${name}`,
    groups: [
      "system:serviceaccounts",
      "system:authenticated",
      `system:serviceaccounts:${namespace}`,
    ],
  };
  const verbs = ["create", "update", "patch", "get", ...(isOwned ? ["delete"] : [])];
  for (const verb of verbs) {
    if (!await isAllowed(kube, user, ref, verb)) throw denied(ref, "");
  }
  const escalation = ref.type.group === RBAC_GROUP
    ? ESCALATION_VERBS[ref.type.resource]
    : undefined;
  if (escalation !== undefined && !await isAllowed(kube, user, ref, escalation)) {
    throw denied(ref, ", error: permission escalation");
  }
}

function accountOf({ subject }: Executor): { namespace: string; name: string } {
  if (subject?.type !== "ServiceAccount") {
    throw new Refusal(
      "AppliedManifestFailed",
      "only support ServiceAccount type for the executor",
    );
  }
  if (!subject.serviceAccount) {
    throw new Refusal("AppliedManifestFailed", "the executor service account is nil");
  }
  return subject.serviceAccount;
}

async function isAllowed(
  kube: Kube,
  user: { user: string; groups: string[] },
  { type, namespace, name }: ObjectRef,
  verb: string,
): Promise<boolean> {
  const { group, version, resource } = type;
  const review: JsonObject = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      ...user,
      resourceAttributes: { group, version, resource, namespace, name, verb },
    },
  };
  const answer = await kube.create(REVIEWS, review, { fieldManager: FIELD_OWNER });
  const { status } = answer;
  return isObject(status) && status["allowed"] === true;
}

const REVIEWS: ObjectRef = {
  type: {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SubjectAccessReview",
    resource: "subjectaccessreviews",
    isNamespaced: false,
  },
  namespace: "",
  name: "",
};

function denied({ type, namespace, name }: ObjectRef, why: string): Refusal {
  return new Refusal(
    "AppliedManifestFailed",
    `not allowed to apply the resource ${type.group} ${type.resource}, ${namespace} ${name}${why}` +
      ", will try again in 1m0s",
    RETRY_MS,
  );
}

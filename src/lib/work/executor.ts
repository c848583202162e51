/**
 * Whether the service account that a work names may do what the work wants.
 *
 * What the cluster answered is remembered until somebody changes a role or a binding. The kinds of RBAC are watched from
 * the first work on that names an account; where that is forbidden, answers are remembered for seconds only.
 */

import type { JsonObject } from "../json.ts";
import { isObject } from "../json.ts";
import type { Logger } from "../log.ts";
import type { Executor } from "../wire/work_spec.ts";
import { followScope } from "./follow.ts";
import { type Kube, KubeError, type ObjectRef, type ResourceType } from "./kube_api.ts";
import type { Works } from "./receive.ts";
import { Refusal } from "./refusal.ts";
import { FIELD_OWNER } from "./work.ts";

/** Rights may be granted in ways that no watch sees; asking more often costs the API server more. */
const RETRY_MS = 60_000;
/** How old an answer may be: while RBAC is watched for what else decides, else for all. */
const AGE_MS = { watched: 300_000, unwatched: 5_000 };
/** Answers that are remembered. */
const VERDICTS_MAX = 10_000;
/** The API server's own eyes see a change a moment later than ours; then works that were denied try again. */
const WAKE_MS = [300, 3_000];
const POLL_MS = 60_000;

const RBAC_GROUP = "rbac.authorization.k8s.io";
const CLUSTER_KINDS = ["clusterroles", "clusterrolebindings"];
const RBAC_KINDS = [...CLUSTER_KINDS, "roles", "rolebindings"];

/** How a denial says that it is one; peers' words. */
const DENIED = "not allowed to apply the resource";

export interface Executors extends AsyncDisposable {
  /** Throws a `Refusal` if the executor may not apply this object. Without an executor everything is allowed. */
  check(
    executor: Executor | undefined,
    ref: ObjectRef,
    manifest: JsonObject,
    isOwned: boolean,
  ): Promise<void>;
}

/** Creates the memory of one agent; `changed` is told when rights have changed, and denials may be no more. */
export function createExecutors(kube: Kube, changed: () => void, log: Logger): Executors {
  const verdicts = new Map<string, { verdict: Promise<boolean>; atMs: number }>();
  const watched = new Set<string>();
  let watches: AsyncDisposable[] | undefined;
  let waking: ReturnType<typeof setTimeout>[] = [];

  const forget = () => {
    verdicts.clear();
    for (const timer of waking) clearTimeout(timer);
    waking = WAKE_MS.map((ms) =>
      setTimeout(() => {
        verdicts.clear();
        changed();
      }, ms)
    );
  };
  const follow = (resource: string) => {
    const type = rbacType(resource);
    let isFirst = true;
    const news = () => {
      // What was there at the start has been asked about by nobody.
      if (!isFirst) forget();
    };
    const follower = {
      begin() {},
      changed: news,
      deleted: news,
      complete() {
        if (!isFirst) forget();
        isFirst = false;
        watched.add(resource);
        // What was asked before all are watched may have changed before they were.
        if (watched.size === RBAC_KINDS.length) verdicts.clear();
      },
      poll() {
        watched.delete(resource);
        return Promise.resolve();
      },
    };
    const scope = { type, namespace: "", name: "", metadataOnly: true };
    return followScope(kube, scope, follower, { pollMs: POLL_MS, log });
  };

  const isAllowed = (user: User, ref: ObjectRef, verb: string): Promise<boolean> => {
    const { type: { group, version, resource }, namespace, name } = ref;
    const key = [user.name, group, version, resource, namespace, name, verb].join("\0");
    const ageMs = watched.size === RBAC_KINDS.length ? AGE_MS.watched : AGE_MS.unwatched;
    const known = verdicts.get(key);
    if (known !== undefined && performance.now() - known.atMs < ageMs) return known.verdict;
    verdicts.delete(key);
    const [oldest] = verdicts.keys();
    if (verdicts.size >= VERDICTS_MAX && oldest !== undefined) verdicts.delete(oldest);
    const verdict = review(kube, user, ref, verb);
    verdicts.set(key, { verdict, atMs: performance.now() });
    // No answer is no verdict.
    verdict.catch(() => verdicts.delete(key));
    return verdict;
  };

  return {
    async check(executor, ref, manifest, isOwned) {
      if (executor === undefined) return;
      const user = userOf(executor);
      watches ??= RBAC_KINDS.map(follow);
      const verbs = ["create", "update", "patch", "get", ...(isOwned ? ["delete"] : [])];
      for (const verb of verbs) if (!await isAllowed(user, ref, verb)) throw denied(ref, "");
      if (ref.type.group !== RBAC_GROUP || !RBAC_KINDS.includes(ref.type.resource)) return;
      await tryEscalation(kube, user, ref, manifest);
    },
    async [Symbol.asyncDispose]() {
      for (const timer of waking) clearTimeout(timer);
      await Promise.all((watches ?? []).map((watch) => watch[Symbol.asyncDispose]()));
    },
  };
}

/** Asks for a pass of each work of which something was denied. */
export function wakeDenied(works: Works, wake: (uid: string, delayMs: number) => void): void {
  for (const { uid, slots } of works.values()) {
    const isDenied = slots.some(({ conditions }) =>
      conditions.some(({ type, message }) => type === "Applied" && message.includes(DENIED))
    );
    if (isDenied) wake(uid, 0);
  }
}

interface User {
  name: string;
  groups: string[];
}

function userOf({ subject }: Executor): User {
  if (subject?.type !== "ServiceAccount") {
    throw new Refusal(
      "AppliedManifestFailed",
      "only support ServiceAccount type for the executor",
    );
  }
  if (!subject.serviceAccount) {
    throw new Refusal("AppliedManifestFailed", "the executor service account is nil");
  }
  const { namespace, name } = subject.serviceAccount;
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: [
      "system:serviceaccounts",
      "system:authenticated",
      `system:serviceaccounts:${namespace}`,
    ],
  };
}

/**
 * Tries to create a role or binding in the executor's name, without keeping it.
 *
 * The API server refuses rights that the executor has not itself, unless it may escalate or bind; it does so before
 * it looks whether the object is there already. Never remembered: it depends on the whole object.
 */
async function tryEscalation(
  kube: Kube,
  user: User,
  ref: ObjectRef,
  manifest: JsonObject,
): Promise<void> {
  try {
    const options = { fieldManager: FIELD_OWNER, isDryRun: true, asUser: user.name };
    await kube.create(ref, manifest, options);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.reason === "AlreadyExists") return;
    // The agent itself lacks the right to ask in another's name: that is no verdict on the executor.
    const isOurs = / cannot impersonate/.test(error.message);
    if (error.status !== 403 || isOurs) throw error;
    throw denied(ref, ", error: permission escalation");
  }
}

async function review(
  kube: Kube,
  { name: user, groups }: User,
  { type, namespace, name }: ObjectRef,
  verb: string,
): Promise<boolean> {
  const { group, version, resource } = type;
  const answer = await kube.create(REVIEWS, {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      ...{ user, groups },
      resourceAttributes: { group, version, resource, namespace, name, verb },
    },
  }, { fieldManager: FIELD_OWNER });
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

function rbacType(resource: string): ResourceType {
  const isNamespaced = !CLUSTER_KINDS.includes(resource);
  return { group: RBAC_GROUP, version: "v1", kind: "", resource, isNamespaced };
}

function denied({ type, namespace, name }: ObjectRef, why: string): Refusal {
  return new Refusal(
    "AppliedManifestFailed",
    `${DENIED} ${type.group} ${type.resource}, ${namespace} ${name}${why}` +
      ", will try again in 1m0s",
    RETRY_MS,
  );
}

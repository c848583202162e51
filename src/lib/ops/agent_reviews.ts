/** Who may read the agent's metrics: the cluster decides, by the token that a caller shows. */

import { createHash } from "node:crypto";
import { isObject, type JsonObject } from "../json.ts";
import type { Kube, ObjectRef } from "../work/kube_api.ts";

/** As peers: a right that was taken away ends so late, and a scraper costs one review in two scrapes. */
const VERDICT_MS = 35_000;
/** Tokens that are remembered: whoever tries many gets no memory of ours. */
const VERDICTS_MAX = 1_000;

/** What the cluster says of a caller. */
export type Verdict = "allowed" | "unauthenticated" | "forbidden";

/** Says whether the bearer of this `Authorization` header may GET the path. */
export type Reviewer = (authorization: string | null, path: string) => Promise<Verdict>;

/** Creates a reviewer that asks by TokenReview and SubjectAccessReview, at most once in 35 s for a token. */
export function createReviewer(kube: Kube, elapsedMs: () => number): Reviewer {
  const verdicts = new Map<string, { verdict: Promise<Verdict>; untilMs: number }>();
  return async (authorization, path) => {
    const [, token] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    if (token === undefined) return "unauthenticated";
    const key = createHash("sha256").update(`${path}\0${token}`).digest("base64");
    const known = verdicts.get(key);
    if (known !== undefined && known.untilMs > elapsedMs()) return await known.verdict;
    verdicts.delete(key);
    const [oldest] = verdicts.keys();
    if (verdicts.size >= VERDICTS_MAX && oldest !== undefined) verdicts.delete(oldest);
    const verdict = review(kube, token, path);
    verdicts.set(key, { verdict, untilMs: elapsedMs() + VERDICT_MS });
    // No answer is no verdict: the next caller asks again.
    verdict.catch(() => verdicts.delete(key));
    return await verdict;
  };
}

async function review(kube: Kube, token: string, path: string): Promise<Verdict> {
  const known = await ask(kube, TOKEN_REVIEWS, { token });
  const { user } = known;
  if (known["authenticated"] !== true || !isObject(user)) return "unauthenticated";
  const { username = "", uid = "", groups = [], extra = {} } = user;
  const nonResourceAttributes = { path, verb: "get" };
  const rights = await ask(kube, ACCESS_REVIEWS, {
    ...{ user: username, uid, groups, extra },
    nonResourceAttributes,
  });
  return rights["allowed"] === true ? "allowed" : "forbidden";
}

async function ask(kube: Kube, ref: ObjectRef, spec: JsonObject): Promise<JsonObject> {
  const { group, kind } = ref.type;
  const body = { apiVersion: `${group}/v1`, kind, spec };
  const { status } = await kube.create(ref, body, { fieldManager: "maestro-agent" });
  return isObject(status) ? status : {};
}

const TOKEN_REVIEWS = reviewRef("authentication.k8s.io", "TokenReview");
const ACCESS_REVIEWS = reviewRef("authorization.k8s.io", "SubjectAccessReview");

function reviewRef(group: string, kind: string): ObjectRef {
  const resource = `${kind.toLowerCase()}s`;
  const type = { group, version: "v1", kind, resource, isNamespaced: false };
  return { type, namespace: "", name: "" };
}

/** For an agent whose cluster is made up: there is nobody to ask. */
export function letNobody(): Promise<Verdict> {
  return Promise.resolve("unauthenticated");
}

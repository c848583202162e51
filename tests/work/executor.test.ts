/** Works that name a service account, on a real API server: it may apply what the account may. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { KubeCall } from "../../src/lib/work/kube_api.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, type Report, startAgent } from "./one_agent.ts";

const RBAC = "rbac.authorization.k8s.io";
const VERBS = ["get", "create", "update", "patch", "delete"];
const NO_DELETE = VERBS.slice(0, 4);

const cluster = await startKubernetes();
const calls: KubeCall[] = [];
const kube = await openKubeconfig(cluster.kubeconfig);
const watched = await openKubeconfig(cluster.kubeconfig, { observe: (call) => calls.push(call) });
const agent = await startAgent(watched);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

interface Rule {
  group?: string;
  resources: string[];
  verbs: string[];
  names?: string[];
}

function roleOf(name: string, rules: readonly Rule[]): JsonObject {
  return {
    ...{ apiVersion: `${RBAC}/v1`, kind: "Role", metadata: { name, namespace: "default" } },
    rules: rules.map(({ group = "", resources, verbs, names }) => ({
      ...{ apiGroups: [group], resources, verbs },
      ...(names === undefined ? {} : { resourceNames: names }),
    })),
  };
}

function bindingOf(name: string, account: string): JsonObject {
  return {
    ...{ apiVersion: `${RBAC}/v1`, kind: "RoleBinding", metadata: { name, namespace: "default" } },
    roleRef: { apiGroup: RBAC, kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name: account, namespace: "default" }],
  };
}

async function create(object: JsonObject): Promise<void> {
  const { name } = object["metadata"] as { name: string };
  const ref = await refOf(kube, String(object["apiVersion"]), String(object["kind"]), name);
  await kube.create(ref, object, WRITER);
}

/** Lets an account do this, and returns what takes it away again. */
async function grant(account: string, rules: readonly Rule[]): Promise<() => Promise<void>> {
  const name = `${account}-${crypto.randomUUID().slice(0, 8)}`;
  await create(roleOf(name, rules));
  await create(bindingOf(name, account));
  return async () => {
    const ref = await refOf(kube, `${RBAC}/v1`, "RoleBinding", name);
    const uid = String(((await kube.get(ref))?.["metadata"] as JsonObject)["uid"]);
    await kube.delete(ref, { uid, propagationPolicy: "Background" });
  };
}

/** Waits until the API server has seen a change of rights: it says so to reviews first. */
async function untilAllowed(account: string, resource: string, verb: string, is = "allowed") {
  const group = resource.startsWith("role") ? RBAC : "";
  const type = {
    ...{ group: "authorization.k8s.io", version: "v1", kind: "SubjectAccessReview" },
    ...{ resource: "subjectaccessreviews", isNamespaced: false },
  };
  const spec = {
    user: `system:serviceaccount:default:${account}`,
    resourceAttributes: { group, resource, verb, namespace: "default" },
  };
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
  await eventually(
    async () => await kube.create({ type, namespace: "", name: "" }, body, WRITER),
    ({ status }) => (status as JsonObject)["allowed"] === (is === "allowed"),
  );
}

/** A work with an executor of its own. */
function newWork() {
  const uid = crypto.randomUUID();
  const account = `account-${uid.slice(0, 8)}`;
  const subject = {
    type: "ServiceAccount",
    serviceAccount: { namespace: "default", name: account },
  };
  const [one, two] = [`one-${uid}`, `two-${uid}`];
  return {
    ...{ uid, account, one, two },
    send: async (version: number, manifests: JsonObject[], more: JsonObject = {}) =>
      await agent.send(uid, version, { manifests, executer: { subject }, ...more }),
    both: [configMap(one, { a: "1" }), configMap(two, { a: "1" })],
  };
}

function statusesOf(report: Report, type: string): (string | undefined)[] {
  return (report.status.resourceStatus ?? []).map((_, ordinal) =>
    conditionOf(report, type, ordinal)?.status
  );
}

async function exists(name: string): Promise<boolean> {
  return await kube.get(await refOf(kube, "v1", "ConfigMap", name)) !== undefined;
}

function is(type: string, ...statuses: string[]) {
  return (report: Report) => Bun.deepEquals(statusesOf(report, type), statuses);
}

test("A58: without rights nothing is applied, and each manifest says so", async () => {
  const { uid, send, both, one } = newWork();

  await send(1, both);

  const report = await agent.until(uid, is("Applied", "False", "False"));
  expect(statusesOf(report, "Available")).toEqual(["False", "False"]);
  expect(conditionOf(report, "Applied")).toMatchObject({ status: "False" });
  expect(conditionOf(report, "Applied", 0)).toMatchObject({
    reason: "AppliedManifestFailed",
    message: "Failed to apply manifest: not allowed to apply the resource  configmaps, " +
      `default ${one}, will try again in 1m0s`,
  });
  expect(await exists(one)).toBeFalse();
});

test("A59: with rights for one of two the one is applied", async () => {
  const { uid, send, both, account, one, two } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: VERBS, names: [one] }]);

  await send(1, both);

  const report = await agent.until(uid, is("Applied", "True", "False"));
  expect(statusesOf(report, "Available")).toEqual(["True", "False"]);
  expect([await exists(one), await exists(two)]).toEqual([true, false]);
});

test("A60: with rights for all everything is applied", async () => {
  const { uid, send, both, account } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: VERBS }]);

  await send(1, both);

  const report = await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(statusesOf(report, "Applied")).toEqual(["True", "True"]);
});

test("A61: without the right to delete an object that the work would delete is denied", async () => {
  const { uid, send, both, account, one } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: NO_DELETE }]);
  await untilAllowed(account, "configmaps", "create");

  await send(1, both, { deleteOption: { propagationPolicy: "Foreground" } });

  await agent.until(uid, is("Applied", "False", "False"));
  expect(await exists(one)).toBeFalse();
});

test("A62: without the right to delete an object that stays behind is allowed", async () => {
  const { uid, send, both, account } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: NO_DELETE }]);

  await send(1, both, { deleteOption: { propagationPolicy: "Orphan" } });

  await agent.until(uid, is("Applied", "True", "True"));
});

test("A63: without the right to delete only those of the objects are allowed that stay behind", async () => {
  const { uid, send, both, account, one, two } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: NO_DELETE }]);
  const rule = { group: "", resource: "configmaps", name: one, namespace: "default" };

  await send(1, both, {
    deleteOption: {
      propagationPolicy: "SelectivelyOrphan",
      selectivelyOrphans: { orphaningRules: [rule] },
    },
  });

  await agent.until(uid, is("Applied", "True", "False"));
  expect([await exists(one), await exists(two)]).toEqual([true, false]);
});

/** A work that brings its own rights: a role and its binding, and a ConfigMap that only they permit. */
function rightsOf({ account, one, uid }: ReturnType<typeof newWork>) {
  const name = `brought-${uid.slice(0, 8)}`;
  const role = roleOf(name, [{ resources: ["configmaps"], verbs: VERBS, names: [one] }]);
  return {
    name,
    role,
    manifests: [configMap(one, { a: "1" }), role, bindingOf(name, account)],
    less: roleOf(name, [{ resources: ["configmaps"], verbs: ["get"], names: [one] }]),
  };
}

const WRITES_RIGHTS = { group: RBAC, resources: ["roles", "rolebindings"], verbs: VERBS };
const ESCALATES = { group: RBAC, resources: ["roles"], verbs: ["escalate", "bind"] };

test("A64: rights that the account has not itself are not granted in its name", async () => {
  const work = newWork();
  await grant(work.account, [WRITES_RIGHTS]);
  await untilAllowed(work.account, "roles", "create");
  const { manifests, name } = rightsOf(work);

  await work.send(1, manifests);

  const report = await agent.until(work.uid, is("Applied", "False", "False", "False"));
  expect(conditionOf(report, "Applied", 1)?.message).toBe(
    `Failed to apply manifest: not allowed to apply the resource ${RBAC} roles, default ${name}, ` +
      "error: permission escalation, will try again in 1m0s",
  );
  expect(statusesOf(report, "Available")).toEqual(["False", "False", "False"]);
  expect(await kube.get(await refOf(kube, `${RBAC}/v1`, "Role", name))).toBeUndefined();
});

test("A65: nor is a role that is there already given more rights", async () => {
  const work = newWork();
  await grant(work.account, [WRITES_RIGHTS]);
  await untilAllowed(work.account, "roles", "create");
  const { manifests, less, name } = rightsOf(work);
  await create(less);

  await work.send(1, manifests);

  const report = await agent.until(work.uid, is("Applied", "False", "False", "False"));
  expect(statusesOf(report, "Available")).toEqual(["False", "True", "False"]);
  const role = await kube.get(await refOf(kube, `${RBAC}/v1`, "Role", name));
  expect(role?.["rules"]).toEqual(less["rules"] as JsonObject);
});

test(
  "A66: who may escalate and bind brings the rights for the rest of the work along",
  async () => {
    const work = newWork();
    await grant(work.account, [WRITES_RIGHTS, ESCALATES]);

    await work.send(1, rightsOf(work).manifests);

    await agent.until(work.uid, is("Applied", "True", "True", "True"));
    expect(await exists(work.one)).toBeTrue();
  },
  15_000,
);

test("A67: who may escalate and bind may give a role that is there more rights", async () => {
  const work = newWork();
  await grant(work.account, [WRITES_RIGHTS, ESCALATES]);
  const { manifests, less, name, role: more } = rightsOf(work);
  await create(less);

  await work.send(1, manifests);

  await agent.until(work.uid, is("Applied", "True", "True", "True"));
  const role = await kube.get(await refOf(kube, `${RBAC}/v1`, "Role", name));
  expect(role?.["rules"]).toEqual(more["rules"] as JsonObject);
}, 15_000);

test(
  "A68: rights that are granted later count within seconds, and taking them away removes nothing",
  async () => {
    const { uid, send, both, account, one, two } = newWork();
    await send(1, both.slice(0, 1));
    await agent.until(uid, is("Applied", "False"));

    // Denied works are tried again after a minute, and this test does not wait for so long.
    const revoke = await grant(account, [{ resources: ["configmaps"], verbs: VERBS }]);
    await agent.until(uid, is("Applied", "True"));
    await revoke();
    await untilAllowed(account, "configmaps", "create", "denied");
    await send(2, both);

    const report = await agent.until(uid, is("Applied", "True", "False"));
    expect(statusesOf(report, "Available")).toEqual(["True", "False"]);
    expect([await exists(one), await exists(two)]).toEqual([true, false]);
  },
  15_000,
);

test("W23: while nobody changes a right, nothing is asked about it twice", async () => {
  const { uid, send, account, one } = newWork();
  await grant(account, [{ resources: ["configmaps"], verbs: VERBS }]);
  await send(1, [configMap(one, { a: "1" })]);
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  // The grant itself is a change that may be noticed late.
  await Bun.sleep(3_500);
  await send(2, [configMap(one, { a: "2" })]);
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  const asked = () => calls.filter(({ method }) => method === "POST").length;
  const before = asked();

  for (let version = 3; version <= 6; version++) {
    await send(version, [configMap(one, { a: String(version) })]);
    await agent.until(uid, (report) => isTrue(report, "Applied", version));
  }

  expect(asked()).toBe(before);
}, 20_000);

test(
  "W21: an account that the agent may not act for is named as the reason, not as a denial",
  async () => {
    const limited = `limited-${crypto.randomUUID().slice(0, 8)}`;
    const rules = [{
      apiGroups: ["*"],
      resources: ["*"],
      verbs: ["get", "list", "watch", "create", "patch", "update", "delete"],
    }];
    await create({
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRole",
      metadata: { name: limited },
      rules,
    });
    await create({
      ...{ apiVersion: `${RBAC}/v1`, kind: "ClusterRoleBinding", metadata: { name: limited } },
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: limited },
      subjects: [{ apiGroup: RBAC, kind: "User", name: "limited" }],
    });
    const by = await openKubeconfig(`${cluster.directory}/kubeconfig-limited`);
    await using other = await startAgent(by, { hub: `${limited}:1` });
    const work = newWork();
    await grant(work.account, [WRITES_RIGHTS]);
    await untilAllowed(work.account, "roles", "create");
    const subject = {
      ...{ type: "ServiceAccount", serviceAccount: { namespace: "default", name: work.account } },
    };

    await other.send(work.uid, 1, {
      manifests: rightsOf(work).manifests.slice(1, 2),
      executer: { subject },
    });

    const report = await other.until(work.uid, is("Applied", "False"));
    expect(conditionOf(report, "Applied", 0)?.message).toContain("cannot impersonate");
  },
  15_000,
);

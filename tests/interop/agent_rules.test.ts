/** The official Go work agent and ours find the same of one object: conditions, their messages, and feedback. */

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Condition, FeedbackValue } from "../../src/lib/wire/work_status.ts";
import { installLedgerType } from "../../src/lib/work/crd.ts";
import { buildInterop, hasInterop, WORK_AGENT } from "../../tools/interop.ts";
import { call, createConsumer } from "../e2e/client.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { createDatabase } from "../harness/postgres.ts";
import { spawnProgram, startAgent, startServer } from "../harness/programs.ts";
import { openKubeconfig } from "../kube/objects.ts";

const TIMEOUT_MS = 240_000;
const PATIENCE = { timeoutMs: 60_000, intervalMs: 200 };
const BUNDLES = "/api/maestro/v1/resource-bundles";

const testOrSkip = test.skipIf(!hasInterop(WORK_AGENT) && process.env.CI !== "true");

await using stack = new AsyncDisposableStack();
const cluster = stack.use(await startKubernetes());
const kube = await openKubeconfig(cluster.kubeconfig);
const database = stack.use(await createDatabase());
const door = stack.use(await startServer({ isFromSource: true, databaseUrl: database.url }));
const folder = mkdtempSync(join(tmpdir(), "maestro-rules-"));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));
const hub = `127.0.0.1:${door.agents}`;
const config = join(folder, "agent.yaml");
writeFileSync(config, `url: ${hub}\n`);
const consumer = `c-${crypto.randomUUID()}`;
await createConsumer(door, consumer);
await installLedgerType(kube);
const owned = stack.move();

afterAll(() => owned.disposeAsync(), 60_000);

/** A ConfigMap has room for anything, as text; the rest of what rules read is metadata. */
const MANIFEST: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "things.rules.test.io", labels: { a: "b" }, annotations: { "a.b/c": "<&>" } },
  spec: {
    group: "rules.test.io",
    scope: "Namespaced",
    names: { kind: "Thing", listKind: "ThingList", plural: "things", shortNames: ["b", "a"] },
    versions: [{
      name: "v1",
      served: true,
      storage: true,
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: {
            half: { type: "number", maximum: 0.5, minimum: 1 },
            big: { type: "integer", maximum: 3 },
          },
        },
      },
    }],
  },
};

const rule = (...celExpressions: string[]): JsonObject => ({ type: "CEL", celExpressions });
const message = (messageExpression: string, rest: JsonObject = {}): JsonObject => ({
  ...rule("true"),
  messageExpression,
  ...rest,
});
const SCHEMA = "object.spec.versions[0].schema.openAPIV3Schema.properties";

/** Words and all are the same. */
const SAME: JsonObject[] = [
  rule("true"),
  rule("false"),
  rule("object.kind == 'CustomResourceDefinition'", "object.spec.none == 1"),
  rule("object.spec.none.deeper == 1"),
  rule("object.spec.group.x == 1"),
  rule("object.spec.names.shortNames.x == 1"),
  rule("object.spec.names.shortNames[9] == 1"),
  rule("object.kind"),
  rule("object.spec"),
  rule("object.spec.versions"),
  rule("object.spec.versions.size()"),
  rule("null"),
  rule("nosuch"),
  rule("nosuch(1)"),
  rule("object.nosuch()"),
  rule("object.kind.matches('(')"),
  rule("object.kind.matches('^Custom.*n$')"),
  rule("1 / 0 == 1"),
  rule("hasConditions(object.status)"),
  rule("hasConditions(object.spec)"),
  rule("hasConditions(1)"),
  rule(`${SCHEMA}.half.maximum == 0.5`),
  rule(`type(${SCHEMA}.half.maximum) == double && type(${SCHEMA}.big.maximum) == int`),
  rule("object.?spec.?none.orValue(1) == 1"),
  rule("object.spec.names.shortNames.isSorted()"),
  rule("object.spec.names.shortNames.all(x, x.foo) || true"),
  rule("isIP('1.2.3.4') && cidr('10.0.0.0/8').containsIP('10.0.0.1')"),
  rule("quantity('1500m').isLessThan(quantity('2')) && sign(quantity('-1')) == -1"),
  rule("!format.dns1123Label().validate('a').hasValue() && semver('1.2.3').major() == 1"),
  rule("url('http://a:1/').getHost() == 'a:1' && 'a1b22'.findAll('[0-9]+') == ['1', '22']"),
  rule("duration('1500ms').getMilliseconds() == 1500"),
  { ...rule("true"), message: "own" },
  { ...rule("object.none"), message: "own" },
  message("'x' + string(result)"),
  message("object.none"),
  message("1"),
  message("''"),
  message("''", { message: "own" }),
  message("'%s %s'.format([object.spec.names.shortNames, {'a': 'b'}])"),
  message("'%e %.2f %x'.format([1234.5, 1.005, 255])"),
  message("strings.quote('a\"b') + 'abc'.reverse()"),
  { type: "CEL", celExpressions: [] },
  { type: "WellKnownConditions" },
  { type: "Odd" },
];

/** Status and reason are the same; our compiler says less. */
const SIMILAR: JsonObject[] = [
  rule("1 +"),
  rule("size(1) == 1"),
  rule("object.hasConditions()"),
  rule("cel.bind(x, 1, x == 1)"),
  rule("object.spec.names.shortNames.all(i, v, v > 0)"),
  message("1 +"),
];

const PATHS = [
  ".spec.names.shortNames",
  ".spec.names.shortNames[*]",
  ".spec.names.shortNames[-1]",
  ".spec.names.shortNames[0:2:2]",
  ".spec.names.shortNames[9]",
  '.spec.names.shortNames[?(@=="a")]',
  ".spec.names.none",
  ".spec.names",
  ".spec..storage",
  '.spec.versions[?(@.name=="v1")].storage',
  ".spec.versions[?(@.name=='v2')].storage",
  ".spec.versions[?(@.name==1)].storage",
  '.spec.versions[?(@.name=="v1" && @.served==true)].name',
  ".spec.versions[?(@.served)].name",
  ".spec.versions[0].schema.openAPIV3Schema.properties.half.maximum",
  ".spec.versions[0].schema.openAPIV3Schema.properties.big.maximum",
  ".metadata.annotations",
  ".spec['names.kind']",
  ".metadata.annotations['a\\.b/c']",
  ".metadata.annotations.a\\.b/c",
  '.spec["group"]',
  "{.spec.group}",
  "spec.group",
  "$.spec.group",
  "@.spec.group",
  ".spec['group','scope']",
  ".spec.names.shortNames[a]",
  ".spec.names.shortNames[ 0 ]",
  ".spec.",
  ".",
  ".spec.group .spec.scope",
  ".spec.group[0]",
  "range .spec",
  ".spec .group",
];

interface Found {
  conditions: Condition[];
  statusFeedback: { values?: FeedbackValue[] };
}

/** What an agent reports of the object once it has read it. */
async function foundBy(agent: AsyncDisposable, id: string, version: number): Promise<Found> {
  await using _ = agent;
  const last = `R${SAME.length + SIMILAR.length - 1}`;
  const isRead = ({ body }: Awaited<ReturnType<typeof call>>) =>
    body?.status?.conditions?.some((one: Condition) =>
      one.type === last && one.observedGeneration === version
    );
  const { body } = await eventually(() => call(door, "GET", `${BUNDLES}/${id}`), isRead, PATIENCE);
  return body.status.resourceStatus[0];
}

testOrSkip("our agent finds of an object what the Go agent finds", async () => {
  const rules = [...SAME, ...SIMILAR].map((one, index) => ({ condition: `R${index}`, ...one }));
  const bundle = {
    manifests: [MANIFEST],
    manifest_configs: [{
      resourceIdentifier: {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        name: "things.rules.test.io",
      },
      conditionRules: rules,
      feedbackRules: [{
        type: "JSONPaths",
        jsonPaths: PATHS.map((path, index) => ({ name: `p${index}`, path })),
      }],
    }],
  };
  const { status, text, body } = await call(door, "POST", BUNDLES, {
    consumer_name: consumer,
    ...bundle,
  });
  if (status !== 201) throw new Error(`The bundle was answered by ${status}: ${text}`);
  const go = spawnProgram([buildInterop(WORK_AGENT)], [], {
    INTEROP_KUBECONFIG: cluster.kubeconfig,
    INTEROP_CLUSTER: consumer,
    INTEROP_TRANSPORT: "grpc",
    INTEROP_CONFIG: config,
  });
  const theirs = await foundBy(go, body.id, 1);
  const change = { version: 1, metadata: { labels: { seen: "by-go" } }, ...bundle };
  const changed = await call(door, "PATCH", `${BUNDLES}/${body.id}`, change);
  if (changed.status !== 200) throw new Error(`The change was answered by ${changed.text}`);

  const ours = await foundBy(
    await startAgent({
      isFromSource: true,
      kubeconfig: cluster.kubeconfig,
      consumerName: consumer,
      server: `localhost:${door.agents}`,
      args: ["--hub-name", hub, "--agent-id", "ours"],
    }),
    body.id,
    2,
  );

  const say = ({ conditions }: Found) => (index: number, how: (one: Condition) => string) => {
    const one = conditions.find(({ type }) => type === `R${index}`);
    return `${JSON.stringify(rules[index])}: ${one === undefined ? "none" : how(one)}`;
  };
  const wholly = (one: Condition) => `${one.status} ${one.reason} ${one.message}`;
  const roughly = (one: Condition) => `${one.status} ${one.reason}`;
  const sayAll = (found: Found) => [
    ...SAME.map((_, index) => say(found)(index, wholly)),
    ...SIMILAR.map((_, index) => say(found)(SAME.length + index, roughly)),
  ];
  expect(sayAll(ours)).toEqual(sayAll(theirs));
  expect(ours.statusFeedback.values).toEqual(theirs.statusFeedback.values ?? []);
  const synced = ({ conditions }: Found) =>
    conditions.find(({ type }) => type === "StatusFeedbackSynced");
  expect(synced(ours)?.message).toBe(synced(theirs)?.message ?? "");
}, TIMEOUT_MS);

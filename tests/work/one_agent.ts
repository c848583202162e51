/** An agent in this process on a given cluster, with a broker that the test plays itself. */

import type { JsonObject } from "../../src/lib/json.ts";
import { createLogger } from "../../src/lib/log.ts";
import { parseJsonObject } from "../../src/lib/json.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import {
  decodeSpecResync,
  encodeStatusResync,
  type HeldVersion,
} from "../../src/lib/wire/resync.ts";
import type { BundleStatus, Condition, FeedbackValue } from "../../src/lib/wire/work_status.ts";
import { startWorkAgent, type WorkAgent } from "../../src/lib/work/agent.ts";
import type { BrokerEvents } from "../../src/lib/work/broker.ts";
import type { Pace } from "../../src/lib/work/reconcile.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import type { Witness } from "../../src/lib/work/witness.ts";
import { hubHashOf } from "../../src/lib/work/ledger.ts";
import { eventually } from "../harness/eventually.ts";
import { refOf } from "../kube/objects.ts";

/** One status event as the server would have taken it. */
export interface Report {
  uid: string;
  version: number;
  type: string;
  sequence: string;
  status: BundleStatus;
  event: CloudEvent;
}

export interface AgentUnderTest extends AsyncDisposable {
  /** How many AppliedManifestWorks have no work that the server has sent. */
  unclaimed(): number;
  /** All reports so far, the oldest first. */
  reports: Report[];
  /** What the agent said it holds in its last spec resync request. */
  resyncs: HeldVersion[][];
  /** The events of these requests. */
  requests: CloudEvent[];
  /** Lets publishing fail, as without a server. */
  isServerAway: boolean;
  /** Hands an event to the agent as it is. */
  receive(event: CloudEvent): Promise<void>;
  /** Sends a spec as the server would. */
  send(
    uid: string,
    version: number,
    spec: JsonObject | string,
    options?: SendOptions,
  ): Promise<void>;
  /** Sends a deletion; a server sends the last spec along. */
  delete(
    uid: string,
    version?: number,
    options?: { deletedAt?: string; readAt?: string; spec?: JsonObject },
  ): Promise<void>;
  /** The last report of a work once it satisfies the condition. */
  until(uid: string, isEnough: (report: Report) => boolean): Promise<Report>;
  /** Asks for the status unless it has this hash. */
  ask(uid: string, hash: string): Promise<void>;
  /** Lets reports take until they are released. */
  holdReports(): { reached: Promise<void>; release: () => void };
  /** Ends in order; the ids of the works whose status was not sent. */
  finish(withinMs: number): Promise<string[]>;
  /**
   * Takes the connection away and gives it back. `early` is what comes before the agent can ask for its resync, and
   * `isKept` says that a broker has kept what came meanwhile.
   */
  reconnect(early?: () => Promise<void>, session?: { isKept: boolean }): Promise<void>;
}

interface SendOptions {
  action?: string;
  source?: string;
  metadata?: JsonObject;
  /** When the server's database said so; a Go server tells no such time. */
  readAt?: string;
}

export const CONSUMER = "cluster1";
const HUB = "server.test:8091";

interface AgentOptions {
  witness?: Witness | undefined;
  nowMs?: () => number;
  hub?: string;
  ownerId?: string;
  pace?: Pace;
}

/** Starts an agent; a second one on the same cluster is the first one restarted. */
export async function startAgent(
  kube: Kube,
  { nowMs = Date.now, hub = HUB, ownerId, pace, witness }: AgentOptions = {},
): Promise<AgentUnderTest> {
  const reports: Report[] = [];
  const resyncs: HeldVersion[][] = [];
  const requests: CloudEvent[] = [];
  const log = createLogger({
    level: (Bun.env["AGENT_LOG"] ?? "error") as "error",
    isTerminal: false,
    write: (line) => void process.stderr.write(line),
  });
  let events: BrokerEvents | undefined;
  let publishing: (event: CloudEvent) => Promise<void> = () => Promise.resolve();
  const broker = {
    hubName: hub,
    eventBytesMax: Infinity,
    async publish(event: CloudEvent) {
      await publishing(event);
      if (test.isServerAway) throw new Error("the server is away");
      if (event.type.endsWith(".spec.resync_request")) {
        requests.push(event);
        resyncs.push(decodeSpecResync(event.data));
      } else reports.push(readReport(event));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const receive = async (event: CloudEvent) => await events?.receive(event);
  const specEvent = (uid: string, action: string, source = "maestro"): CloudEvent => ({
    id: crypto.randomUUID(),
    source,
    type: `${MANIFEST_BUNDLES}.spec.${action}`,
    extensions: { resourceid: uid, clustername: CONSUMER, originalsource: "" },
  });

  const test: Omit<AgentUnderTest, "finish" | typeof Symbol.asyncDispose> = {
    unclaimed: () => agent.unclaimed(),
    reports,
    resyncs,
    requests,
    isServerAway: false,
    receive,
    async send(uid, version, spec, { action = "create_request", source, metadata, readAt } = {}) {
      const event = specEvent(uid, action, source);
      event.extensions["resourceversion"] = version;
      if (readAt !== undefined) event.extensions["readat"] = readAt;
      event.extensions["metadata"] = JSON.stringify({ ...metadata, name: uid });
      event.data = typeof spec === "string" ? spec : JSON.stringify(spec);
      await receive(event);
    },
    async delete(uid, version, { deletedAt = new Date().toISOString(), readAt, spec } = {}) {
      const event = specEvent(uid, "delete_request");
      event.extensions["deletiontimestamp"] = deletedAt;
      if (readAt !== undefined) event.extensions["readat"] = readAt;
      if (version !== undefined) event.extensions["resourceversion"] = version;
      if (spec !== undefined) event.data = JSON.stringify(spec);
      await receive(event);
    },
    async until(uid, isEnough) {
      const last = () => reports.findLast((report) => report.uid === uid);
      const found = await eventually(last, (report) => report !== undefined && isEnough(report), {
        timeoutMs: 20_000,
      });
      return found as Report;
    },
    async ask(uid, hash) {
      const event = specEvent(uid, "x");
      event.type = `${MANIFEST_BUNDLES}.status.resync_request`;
      event.data = encodeStatusResync([{ resourceId: uid, hash }]);
      await receive(event);
    },
    holdReports() {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      publishing = async ({ type }) => {
        if (!type.includes(".status.")) return;
        reached.resolve();
        await released.promise;
      };
      return { reached: reached.promise, release: released.resolve };
    },
    async reconnect(early, session = { isKept: false }) {
      events?.disconnected("the test said so");
      await early?.();
      await events?.subscribed(session);
    },
  };
  const agent: WorkAgent = await startWorkAgent(
    kube,
    (given) => {
      events = given;
      return broker;
    },
    log,
    {
      consumerName: CONSUMER,
      agentId: `${CONSUMER}-work-agent`,
      agentVersion: "test",
      ownerId,
      dataTypes: [MANIFEST_BUNDLES],
      statusSyncIntervalMs: 1_000,
      workers: 4,
      jsonRawBytesMax: 1024 * 1024,
      nowMs,
      witness,
      ...(pace === undefined ? {} : { pace }),
    },
  );
  await (events as BrokerEvents | undefined)?.subscribed({ isKept: false });
  return Object.assign(test, {
    finish: async (withinMs: number) => await agent.finish(withinMs),
    [Symbol.asyncDispose]: async () => await agent[Symbol.asyncDispose](),
  });
}

function readReport(event: CloudEvent): Report {
  return {
    uid: String(event.extensions["resourceid"]),
    version: Number(event.extensions["resourceversion"]),
    type: event.type,
    sequence: String(event.extensions["sequenceid"]),
    status: parseJsonObject(event.data ?? "", "status") as unknown as BundleStatus,
    event,
  };
}

/** A condition of the work, or of one of its manifests. */
export function conditionOf(
  { status }: Report,
  type: string,
  ordinal?: number,
): Condition | undefined {
  const list = ordinal === undefined
    ? status.conditions
    : status.resourceStatus?.[ordinal]?.conditions;
  return list?.find((condition) => condition.type === type);
}

/** True if the condition is True for this version of the work. */
export function isTrue(report: Report, type: string, version?: number): boolean {
  const condition = conditionOf(report, type);
  return condition?.status === "True" &&
    (version === undefined || condition.observedGeneration === version);
}

/** The feedback values of one manifest. */
export function feedbackOf({ status }: Report, ordinal = 0): FeedbackValue[] {
  return status.resourceStatus?.[ordinal]?.statusFeedback.values ?? [];
}

/** A ConfigMap as a manifest. */
export type ConfigMap = {
  apiVersion: "v1";
  kind: "ConfigMap";
  metadata: { name: string; namespace: string };
  data: Record<string, string>;
};

/** A ConfigMap manifest. */
export function configMap(
  name: string,
  data: Record<string, string>,
  namespace = "default",
): ConfigMap {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
}

/** The AppliedManifestWork of a work. */
export function ledgerRef(kube: Kube, uid: string, hub: string = HUB): Promise<ObjectRef> {
  const name = `${hubHashOf(hub)}-${uid}`;
  return refOf(kube, "work.open-cluster-management.io/v1", "AppliedManifestWork", name);
}

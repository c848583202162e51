/** What the agent counts. Dashboards know the names of the Go agent; what it does not count is named after us. */

import type { QueueMeter, QueueState } from "../keyed_queue.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import type { Broker, BrokerEvents } from "../work/broker.ts";
import type { KubeCall } from "../work/kube_api.ts";
import type { Backlog } from "../work/witness.ts";
import { registerFootprint } from "./agent_footprint.ts";
import { createExposition, type Exposition } from "./exposition.ts";

export interface AgentMetrics {
  /** All of it, for Prometheus. */
  text(): string;
  /** Counts the calls to Kubernetes. */
  kubeCall(call: KubeCall, host: string): void;
  /** A manifest had its turn; `reason` is the one of its condition. */
  manifest(outcome: "applied" | "failed", reason: string): void;
  drifted(): void;
  undeletable(): void;
  queue(name: string): QueueMeter;
  /** Counts what goes over a broker. */
  follow(
    connect: (events: BrokerEvents) => Broker | Promise<Broker>,
    consumerName: string,
  ): (events: BrokerEvents) => Promise<Broker>;
  /** Whether this process has the lease of this name. */
  lead(name: string, turn: "leads" | "stands by"): void;
}

/** Seconds, as the Go agent divides them. */
const RESYNC_BUCKETS = [0.1, 0.2, 0.5, 1, 2, 10, 30];
const QUEUE_BUCKETS = [0.001, 0.01, 0.1, 1, 10, 100];

/** Creates the metrics of one process; `backlogs` says what waits when somebody asks. */
export function createAgentMetrics(backlogs: () => Backlog[]): AgentMetrics {
  const exposition = createExposition();
  registerFootprint(exposition);
  registerBacklog(exposition, backlogs);
  const restRequests = exposition.counter(
    "rest_client_requests_total",
    "Calls to Kubernetes, by HTTP status; <error> is a call without an answer.",
  );
  const manifests = exposition.counter(
    "maestro_agent_manifests_total",
    "Turns of manifests in passes, by what became of them.",
  );
  const count = { drifted: 0, undeletable: 0 };
  exposition.total(
    "maestro_agent_drifts_healed_total",
    "Objects that somebody changed or deleted, and that a pass set right.",
    () => [{ value: count.drifted }],
  );
  exposition.total(
    "maestro_agent_deletion_failures_total",
    "Times that objects could not be deleted, or had been terminating for long.",
    () => [{ value: count.undeletable }],
  );
  const turns = new Map<string, number>();
  exposition.gauge(
    "leader_election_master_status",
    "1 for the process that leads.",
    () => [...turns].map(([name, value]) => ({ labels: { name }, value })),
  );
  return {
    text: exposition.text,
    kubeCall({ method, code }, host) {
      restRequests.inc({ code: code === 0 ? "<error>" : String(code), method, host });
    },
    manifest: (result, reason) => manifests.inc({ result, reason }),
    drifted: () => void count.drifted++,
    undeletable: () => void count.undeletable++,
    queue: queueMeters(exposition),
    follow: brokerMeter(exposition),
    lead: (name, turn) => void turns.set(name, turn === "leads" ? 1 : 0),
  };
}

function queueMeters(exposition: Exposition): (name: string) => QueueMeter {
  const { counter } = exposition;
  const seconds = (name: string, help: string) => exposition.histogram(name, help, QUEUE_BUCKETS);
  const adds = counter("workqueue_adds_total", "Keys that were added.");
  const retries = counter("workqueue_retries_total", "Runs that failed and are repeated.");
  const waits = seconds("workqueue_queue_duration_seconds", "How long keys waited for a worker.");
  const runs = seconds("workqueue_work_duration_seconds", "How long runs took.");
  return (name) => ({
    added: () => adds.inc({ name }),
    retried: () => retries.inc({ name }),
    ran(waitedMs, tookMs) {
      waits.observe({ name }, waitedMs / 1000);
      runs.observe({ name }, tookMs / 1000);
    },
  });
}

/** What is worked out only when it is asked for. */
function registerBacklog(exposition: Exposition, backlogs: () => Backlog[]): void {
  const sum = (of: (backlog: Backlog) => number) => backlogs().reduce((all, b) => all + of(b), 0);
  const max = (of: (backlog: Backlog) => number) => Math.max(0, ...backlogs().map(of));
  const gauge = (name: string, help: string, value: () => number) =>
    exposition.gauge(name, help, () => [{ value: value() }]);
  gauge(
    "maestro_agent_connected",
    "Connections to servers that stand.",
    () => sum(({ isConnected }) => isConnected ? 1 : 0),
  );
  gauge("maestro_agent_works", "Works that are held.", () => sum(({ works }) => works));
  gauge(
    "maestro_agent_pending_deletions",
    "Works that are being deleted, and not confirmed as gone.",
    () => sum(({ deletions }) => deletions),
  );
  gauge(
    "maestro_agent_waiting_reports",
    "Works whose status the server has yet to hear.",
    () => sum(({ reports }) => reports.waiting),
  );
  gauge(
    "maestro_agent_oldest_report_seconds",
    "How long the oldest of them waits.",
    () => max(({ reports }) => reports.oldestMs / 1000),
  );
  const byQueue = (name: string, help: string, value: (state: QueueState) => number) =>
    exposition.gauge(name, help, () => [
      { labels: { name: "apply" }, value: sum(({ passes }) => value(passes)) },
      { labels: { name: "report" }, value: sum(({ reports }) => value(reports)) },
    ]);
  byQueue("workqueue_depth", "Keys that wait for a worker.", ({ depth }) => depth);
  byQueue(
    "workqueue_unfinished_work_seconds",
    "What runs under way have taken together.",
    (s) => s.runningMs / 1000,
  );
  byQueue(
    "workqueue_longest_running_processor_seconds",
    "The longest run under way.",
    (s) => s.longestRunMs / 1000,
  );
}

function brokerMeter(exposition: Exposition): AgentMetrics["follow"] {
  const { counter } = exposition;
  const received = counter("cloudevents_received_total", "Events from the server.");
  const sent = counter("cloudevents_sent_total", "Events to the server.");
  const resyncs = exposition.histogram(
    "resources_status_resync_duration_seconds",
    "How long a question for statuses took to be worked through.",
    RESYNC_BUCKETS,
  );
  const done = counter(
    "manifestworks_processed_total",
    "Statuses that were reported (patch), by what became of it.",
  );
  const reconnects = counter(
    "cloudevents_client_reconnected_total",
    "Connections to the server after the first one.",
  );

  return (connect, consumerName) => async (events) => {
    let connections = 0;
    const broker = await connect({
      ...events,
      async receive(event) {
        const labels = labelsOf(event);
        if (labels !== undefined) received.inc({ source: event.source, ...labels });
        const startedAt = performance.now();
        await events.receive(event);
        if (labels?.subresource !== "status" || labels.action !== ACTION.resyncRequest) return;
        const { type } = labels;
        const seconds = (performance.now() - startedAt) / 1000;
        resyncs.observe({ source: event.source, consumer: consumerName, type }, seconds);
      },
      async subscribed(connection) {
        if (connections++ > 0) reconnects.inc({ client_id: consumerName });
        await events.subscribed(connection);
      },
    });
    const count = (event: CloudEvent, code: string) => {
      const labels = labelsOf(event);
      if (labels === undefined) return;
      const isStatus = labels.subresource === "status";
      if (isStatus) done.inc({ action: "patch", code });
      if (code !== "Success") return;
      const original = event.extensions[EXT.originalSource];
      const original_source = isStatus && original ? String(original) : "none";
      sent.inc({ source: event.source, original_source, ...labels });
    };
    return {
      get hubName() {
        return broker.hubName;
      },
      get eventBytesMax() {
        return broker.eventBytesMax;
      },
      async publish(event) {
        try {
          await broker.publish(event);
        } catch (error) {
          count(event, "PublishError");
          throw error;
        }
        count(event, "Success");
      },
      [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
    };
  };
}

function labelsOf(
  event: CloudEvent,
): { type: string; subresource: string; action: string } | undefined {
  try {
    const { dataType, subresource, action } = parseEventType(event.type);
    return { type: dataType, subresource, action };
  } catch {
    // Whoever takes the event says what is wrong with it.
    return undefined;
  }
}

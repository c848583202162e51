/** What the server counts. Dashboards and alerts know the names, so they are those of the Go server. */

import { Counter, Histogram, Registry } from "prom-client";

/** A registry of its own, so that two servers in one process do not meet. */
export interface Metrics {
  registry: Registry;
  restRequests: Counter<"method" | "path" | "code">;
  restDuration: Histogram<"method" | "path" | "code">;
}

/** Creates the metrics of one server. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const labelNames = ["method", "path", "code"] as const;
  return {
    registry,
    restRequests: new Counter({
      name: "rest_api_inbound_request_count",
      help: "Number of requests served.",
      labelNames,
      registers: [registry],
    }),
    restDuration: new Histogram({
      name: "rest_api_inbound_request_duration",
      help: "Request duration in seconds.",
      labelNames,
      buckets: [0.1, 1, 10, 30],
      registers: [registry],
    }),
  };
}

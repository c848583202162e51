/** What the demo does over REST. */

import type { JsonObject } from "../src/lib/json.ts";
import { NGINX } from "./openapi/examples.ts";

/** The Deployment of the quick start. */
export const NGINX_ON_CLUSTER1: JsonObject = {
  consumer_name: "cluster1",
  version: 1,
  manifest: NGINX,
};

export interface Milestones {
  /** Called at each look. */
  poll: () => void;
  applied: (message: string) => void;
  reported: (message: string) => void;
  interrupted: Promise<void>;
}

interface ResourceView {
  id: string;
  consumer_name: string;
  status?: {
    ContentStatus: { availableReplicas?: number; conditions?: Condition[] } | null;
    ReconcileStatus: { Conditions: Condition[] | null };
  };
}

interface Condition {
  type: string;
  status: string;
  message?: string;
}

export interface DemoRest {
  ensureConsumer(name: string): Promise<void>;
  /** Resolves to the id. */
  post(resource: JsonObject): Promise<string>;
  /** Watches a resource until it is available; undefined if it is not in time. */
  follow(id: string, timeoutMs: number, on: Milestones): Promise<JsonObject | undefined>;
  /** Deletes the resources of a consumer and waits until its agent has confirmed. */
  removeAll(consumerName: string, timeoutMs: number): Promise<void>;
}

const POLL_MS = 25;
const CALL_TIMEOUT_MS = 10_000;

/** Makes a client with the admin token. `base` ends with the API's version. */
export function createDemoRest(base: string, token: string): DemoRest {
  const call = async (method: string, path: string, body?: JsonObject) => {
    const response = await fetch(base + path, {
      method,
      headers: { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
  };
  const list = async (consumerName: string): Promise<ResourceView[]> => {
    const { body } = await call("GET", "/resources?size=1000");
    return body.items.filter((item: ResourceView) => item.consumer_name === consumerName);
  };
  return {
    async ensureConsumer(name) {
      const { status, body } = await call("POST", "/consumers", { name });
      if (status !== 201 && status !== 409) throw new Error(body.reason);
    },
    async post(resource) {
      const { status, body } = await call("POST", "/resources", resource);
      if (status !== 201) throw new Error(body.reason);
      return body.id;
    },
    async follow(id, timeoutMs, on) {
      let isOver = false;
      // Settles with the demo; nothing else waits for it.
      void on.interrupted.then(() => (isOver = true));
      const told = { applied: false };
      const deadline = performance.now() + timeoutMs;
      while (!isOver && performance.now() < deadline) {
        on.poll();
        const { body } = await call("GET", `/resources/${id}`);
        const { status } = body as ResourceView;
        const applied = status?.ReconcileStatus.Conditions?.find(({ type }) => type === "Applied");
        if (applied !== undefined && !told.applied) {
          told.applied = true;
          on.applied(applied.message ?? applied.status);
        }
        const content = status?.ContentStatus;
        if ((content?.availableReplicas ?? 0) > 0) {
          const available = content?.conditions?.find(({ type }) => type === "Available");
          on.reported(available?.message ?? "available");
          return body;
        }
        await Bun.sleep(POLL_MS);
      }
      return undefined;
    },
    async removeAll(consumerName, timeoutMs) {
      for (const { id } of await list(consumerName)) await call("DELETE", `/resources/${id}`);
      const deadline = performance.now() + timeoutMs;
      while (performance.now() < deadline && (await list(consumerName)).length > 0) {
        await Bun.sleep(POLL_MS);
      }
    },
  };
}

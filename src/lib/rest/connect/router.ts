/** Answers calls over Connect and gRPC-Web: their protocols are the library's, their limits and errors ours. */

import { createConnectRouter } from "@connectrpc/connect";
import { CloudEventService } from "../../../gen/cloudevent_pb.ts";
import { ConsumerService } from "../../../gen/maestro/v1/consumer_pb.ts";
import { ResourceBundleService } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import type { Db } from "../../db/connect.ts";
import type { ResourceWriter } from "../../spec/write.ts";
import { BODY_BYTES_MAX } from "../body.ts";
import type { Watchers } from "../watch.ts";
import { answerCall } from "./answer.ts";
import { createBundleCalls } from "./bundles.ts";
import { CALLER } from "./call.ts";
import { type CloudEventDoor, createCloudEventCalls } from "./cloud_events.ts";
import { createConsumerCalls } from "./consumers.ts";
import { GZIP } from "./gzip.ts";
import { explainError, explainErrors, limitTime } from "./interceptors.ts";
import type { Calls } from "./routes.ts";

export interface ConnectParts {
  db: Db;
  writer: ResourceWriter;
  /** Without it nothing can be watched. */
  watchers: Watchers | undefined;
  /** What sources are served by; undefined if they are not served here. */
  cloudEvents: CloudEventDoor | undefined;
  /** How long a call may take that is no stream. */
  requestTimeoutMs: number;
}

/** Makes what answers calls. */
export function createCalls(parts: ConnectParts): Calls {
  const { db, cloudEvents, watchers } = parts;
  const router = createConnectRouter({
    // Plain gRPC needs trailers, which this port cannot send; it has ports of its own.
    grpc: false,
    readMaxBytes: BODY_BYTES_MAX,
    // As on REST: a mistyped name must not pass for something that was left out.
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: [GZIP],
    // Never: it costs eight times the throughput.
    compressMinBytes: Number.MAX_SAFE_INTEGER,
    requestGate({ values, method }) {
      const { refusal } = values.get(CALLER);
      if (refusal !== undefined) throw explainError(method, values)(refusal);
    },
    interceptors: [explainErrors(), limitTime(parts.requestTimeoutMs)],
  });
  router.service(ResourceBundleService, createBundleCalls(parts));
  router.service(ConsumerService, createConsumerCalls(db));
  if (cloudEvents !== undefined) {
    router.service(CloudEventService, createCloudEventCalls(cloudEvents, watchers));
  }
  const methods = new Map(router.handlers.map((method) => [method.requestPath, method]));
  return async (call) => {
    const method = methods.get(call.path);
    if (method !== undefined) return await answerCall(method, call);
    return { status: 404, headers: [], body: new Uint8Array() };
  };
}

/** A source or an agent that says exactly what a test wants, over a real gRPC connection. */

import * as grpc from "@grpc/grpc-js";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import { type CloudEvent, HEARTBEAT_TYPE, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import {
  decodeEvent,
  encodePublishRequest,
  encodeSubscription,
} from "../../src/lib/wire/protobuf.ts";
import { eventually } from "./eventually.ts";

export interface Refusal {
  code: number;
  details: string;
}

export interface Subscription {
  /** All but heartbeats, in order. */
  events: CloudEvent[];
  heartbeats: number;
  subscriptionId: string;
  /** How the stream ended; undefined while it is open. */
  ended(): Refusal | undefined;
}

export interface GrpcPeer extends Disposable {
  /** Resolves to undefined if the event was accepted, else to the refusal. */
  publish(event: CloudEvent, token?: string): Promise<Refusal | undefined>;
  /** Like `publish`, with bytes that need not be a message. */
  send(message: Uint8Array, token?: string): Promise<Refusal | undefined>;
  /** Resolves when the response headers are there. */
  subscribe(
    subscription: { source?: string; clusterName?: string },
    token?: string,
  ): Promise<Subscription>;
}

const DEADLINE_MS = 15_000;

/** Connects to a port of this machine. */
export function connectPeer(port: number): GrpcPeer {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const asIs = (bytes: Uint8Array) => Buffer.from(bytes);
  const headers = (token?: string) => {
    const metadata = new grpc.Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    return metadata;
  };
  const send = (message: Uint8Array, token?: string) =>
    new Promise<Refusal | undefined>((resolve) => {
      const deadline = Date.now() + DEADLINE_MS;
      client.makeUnaryRequest(
        ...[PUBLISH, asIs, asIs, message, headers(token), { deadline }] as const,
        (error) => resolve(error === null ? undefined : error),
      );
    });
  return {
    send,
    publish: (event, token) => send(encodePublishRequest(event), token),
    async subscribe({ source = "", clusterName = "" }, token) {
      const message = encodeSubscription({ source, clusterName, dataType: MANIFEST_BUNDLES });
      let ended: Refusal | undefined;
      const subscription: Subscription = {
        events: [],
        heartbeats: 0,
        subscriptionId: "",
        ended: () => ended,
      };
      const stream = client.makeServerStreamRequest(
        ...[SUBSCRIBE, asIs, decodeEvent, message, headers(token)] as const,
      );
      stream.on("data", (event: CloudEvent) => {
        if (event.type === HEARTBEAT_TYPE) subscription.heartbeats++;
        else subscription.events.push(event);
      });
      stream.on("metadata", (metadata) => {
        subscription.subscriptionId = String(metadata.get("subscription-id")[0] ?? "");
      });
      stream.on("error", () => {});
      stream.on("status", ({ code, details }) => (ended = { code, details }));
      await eventually(() => subscription.subscriptionId !== "" || ended !== undefined);
      return subscription;
    },
    [Symbol.dispose]: () => client.close(),
  };
}

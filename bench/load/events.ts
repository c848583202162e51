/**
 * Events of the size that fleets send, encoded once and then only stamped with an id.
 *
 * Encoding each anew would cost the load generators as much as the server spends on reading it.
 */

import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodePublish } from "../../src/lib/mqtt/publish_packet.ts";
import { encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { encodePublishRequest } from "../../src/lib/wire/protobuf.ts";
import { frame } from "./grpc_client.ts";

/** The source that all resources of the benches belong to. */
export const SOURCE = "bench";
/** What most bundles have. */
export const SPEC_BYTES = 3 * 1024;
const STATUS_BYTES = 1536;

// Of the length of what replaces them, and nothing else in an event looks like them.
const ID = "00000000-1111-4222-8333-444444444444";
const SEQUENCE = "1111222233334444555";

/** The way to the server. */
export type Road = "grpc" | "mqtt";

/** A framed PublishRequest, or an MQTT PUBLISH with QoS 1, for a resource: a fresh copy. */
export type Stamp = (id: string, sequence?: string) => Uint8Array;

/** The id of the nth resource, in no order that an index could profit from. */
export function resourceId(n: number): string {
  const hex = new Bun.CryptoHasher("md5").update(`resource ${n}`).digest("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Makes create requests for a consumer, as sources send them over gRPC. */
export function createStamp(consumerName: string, specBytes = SPEC_BYTES): Stamp {
  return stamp(framed(createEvent(consumerName, specBytes)));
}

function createEvent(consumerName: string, specBytes: number): CloudEvent {
  return {
    id: ID,
    source: SOURCE,
    type: `${MANIFEST_BUNDLES}.spec.create_request`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    extensions: {
      resourceid: ID,
      resourceversion: 0,
      clustername: consumerName,
      originalsource: "",
      metadata: JSON.stringify({ name: ID, labels: { app: "shop", team: "checkout" } }),
    },
    data: specText(specBytes),
  };
}

/** Makes specs for a consumer's agent, as servers send them to a broker. */
export function specStamp(consumerName: string): Stamp {
  const topic = `sources/maestro/consumers/${consumerName}/sourceevents`;
  return stamp(encodePublish(topic, encodeMqtt(createEvent(consumerName, SPEC_BYTES)), 1).bytes);
}

/** Makes reports of a consumer's agent on version 1. */
export function reportStamp(consumerName: string, road: Road = "grpc"): Stamp {
  const event: CloudEvent = {
    id: ID,
    source: `${consumerName}-agent`,
    type: `${MANIFEST_BUNDLES}.status.update_request`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    extensions: {
      resourceid: ID,
      resourceversion: 1,
      clustername: consumerName,
      originalsource: "maestro",
      sequenceid: SEQUENCE,
      statushash: "0123456789abcdef".repeat(4),
      // As ours, which are told digests.
      agentversion: "bench",
    },
    data: statusText(),
  };
  if (road === "grpc") return stamp(framed(event));
  const topic = `sources/maestro/consumers/${consumerName}/agentevents`;
  return stamp(encodePublish(topic, encodeMqtt(event), 1).bytes);
}

function framed(event: CloudEvent): Buffer {
  return Buffer.from(frame(encodePublishRequest(event)));
}

/** The resource id in the bytes of an event; undefined for a heartbeat. */
export function idOf(message: Uint8Array): string | undefined {
  return attributeOf(message, "ce-resourceid", ID.length);
}

/** The sequence id in the bytes of a status event. */
export function sequenceOf(message: Uint8Array): string | undefined {
  return attributeOf(message, "ce-sequenceid", SEQUENCE.length);
}

function attributeOf(message: Uint8Array, name: string, length: number): string | undefined {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const key = bytes.indexOf(name);
  // A map entry: the key, then field 2 with a message that has the string as field 3.
  const start = key + name.length + 4;
  return key < 0 ? undefined : bytes.toString("latin1", start, start + length);
}

/** A bundle of a Deployment and a ConfigMap, as JSON text of exactly this length. */
export function specText(bytes = SPEC_BYTES): string {
  const metadata = { name: "shop", namespace: "default", labels: { app: "shop" } };
  const environment = ["DATABASE_HOST", "CACHE_HOST", "QUEUE_HOST", "LOG_LEVEL", "REGION"];
  const container = {
    name: "shop",
    image: "registry.example.com/shop:1.42.7",
    ports: [{ containerPort: 8080, name: "http" }],
    env: environment.map((name) => ({ name, value: `${name.toLowerCase()}.shop.svc` })),
    resources: { requests: { cpu: "250m", memory: "256Mi" }, limits: { memory: "512Mi" } },
  };
  const template = { metadata: { labels: { app: "shop" } }, spec: { containers: [container] } };
  const spec = { replicas: 3, selector: { matchLabels: { app: "shop" } }, template };
  return padded(bytes, (padding) => ({
    manifests: [
      { apiVersion: "apps/v1", kind: "Deployment", metadata, spec },
      { apiVersion: "v1", kind: "ConfigMap", metadata, data: { settings: padding } },
    ],
    deleteOption: { propagationPolicy: "Foreground" },
  }));
}

function statusText(): string {
  const at = { lastTransitionTime: "2026-01-02T03:04:05Z", observedGeneration: 1 };
  const condition = (type: string) => ({
    type,
    status: "True",
    reason: "Done",
    message: "",
    ...at,
  });
  const meta = { ordinal: 0, group: "apps", version: "v1", kind: "Deployment", name: "shop" };
  return padded(STATUS_BYTES, (padding) => ({
    conditions: ["Applied", "Available"].map(condition),
    resourceStatus: [{
      resourceMeta: { ...meta, resource: "deployments", namespace: "default" },
      statusFeedback: {
        values: [{ name: "status", fieldValue: { type: "JsonRaw", jsonRaw: padding } }],
      },
      conditions: ["Applied", "Available", "StatusFeedbackSynced"].map(condition),
    }],
  }));
}

/** Padded with hexadecimal digits, which compress about as well as manifests do. */
function padded(size: number, make: (padding: string) => unknown): string {
  const missing = size - JSON.stringify(make("")).length;
  const digits = Array.from({ length: Math.ceil(missing / 36) }, (_, n) => resourceId(n)).join("");
  return JSON.stringify(make(digits.slice(0, missing)));
}

function stamp(template: Buffer): Stamp {
  const ids = positions(template, ID);
  const sequences = positions(template, SEQUENCE);
  return (id, sequence = SEQUENCE) => {
    const bytes = Buffer.from(template);
    for (const at of ids) bytes.write(id, at, "latin1");
    for (const at of sequences) bytes.write(sequence, at, "latin1");
    return bytes;
  };
}

function positions(bytes: Buffer, text: string): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) found.push(at);
  return found;
}

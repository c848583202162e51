/**
 * Events in the protobuf flavour of the gRPC doors.
 *
 * Not the official CloudEvents protobuf binding: attributes are called `ce-<name>`, the content type is
 * `contenttype`, and data always travels as `binary_data`.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type CloudEvent as CloudEventMessage,
  type CloudEventAttributeValue,
  CloudEventAttributeValueSchema,
  CloudEventSchema,
  type PublishRequest,
  PublishRequestSchema,
  type SubscriptionRequest,
  SubscriptionRequestSchema,
} from "../../gen/cloudevent_pb.ts";
import { MaestroError } from "../errors.ts";
import {
  type CloudEvent,
  eventProblem,
  EXT,
  type ExtensionValue,
  isExtensionName,
  isInt32,
  MANIFEST_BUNDLES,
  MANIFESTS,
} from "./event.ts";
import { decodeStructured } from "./structured.ts";
import { PREFIX } from "./text_attributes.ts";
import { isRfc3339, joinTime, splitTime } from "./time.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The bytes of a PublishRequest. */
export function encodePublishRequest(event: CloudEvent): Uint8Array {
  return toBinary(
    PublishRequestSchema,
    create(PublishRequestSchema, { event: toMessage(event) }),
  );
}

/** Reads a PublishRequest. Throws `invalid_argument` on anything that is not a whole event. */
export function decodePublishRequest(bytes: Uint8Array): CloudEvent {
  let request: PublishRequest;
  try {
    request = fromBinary(PublishRequestSchema, bytes);
  } catch (cause) {
    throw undecodable("it is not a PublishRequest", cause);
  }
  if (request.event === undefined) throw undecodable("the request has no event");
  const event = fromMessage(request.event);
  const problem = eventProblem(event);
  if (problem !== undefined) throw undecodable(problem);
  return event;
}

/** The bytes of a CloudEvent message, as a subscription streams it. */
export function encodeEvent(event: CloudEvent): Uint8Array {
  return toBinary(CloudEventSchema, toMessage(event));
}

/** Reads a CloudEvent message. */
export function decodeEvent(bytes: Uint8Array): CloudEvent {
  try {
    return fromMessage(fromBinary(CloudEventSchema, bytes));
  } catch (cause) {
    if (cause instanceof MaestroError) throw cause;
    throw undecodable("it is not a CloudEvent", cause);
  }
}

export type Subscription = Pick<SubscriptionRequest, "source" | "clusterName" | "dataType">;

/** The bytes of a SubscriptionRequest. */
export function encodeSubscription(subscription: Subscription): Uint8Array {
  return toBinary(
    SubscriptionRequestSchema,
    create(SubscriptionRequestSchema, subscription),
  );
}

/** Reads a SubscriptionRequest. */
export function decodeSubscription(bytes: Uint8Array): Subscription {
  let request: SubscriptionRequest;
  try {
    request = fromBinary(SubscriptionRequestSchema, bytes);
  } catch (cause) {
    throw new MaestroError("invalid_argument", "invalid subscription request", { cause });
  }
  const { source, clusterName, dataType } = request;
  // PostgreSQL takes no such text, and it is asked by the names of all that subscribe.
  if (!`${source}${clusterName}${dataType}`.includes("\0")) return request;
  throw new MaestroError("invalid_argument", "invalid subscription request: it contains U+0000");
}

function toMessage(event: CloudEvent): CloudEventMessage {
  const attributes: Record<string, CloudEventAttributeValue> = {};
  const set = (key: string, attr: CloudEventAttributeValue["attr"]) => {
    attributes[key] = create(CloudEventAttributeValueSchema, { attr });
  };
  if (event.datacontenttype !== undefined) {
    set("contenttype", { case: "ceString", value: event.datacontenttype });
  }
  if (event.time !== undefined) set("ce-time", timestamp(event.time));
  if (event.subject !== undefined) set("ce-subject", { case: "ceString", value: event.subject });
  if (event.dataschema !== undefined) {
    set("ce-dataschema", { case: "ceString", value: event.dataschema });
  }
  for (const [name, value] of Object.entries(event.extensions)) {
    set(PREFIX + name, attribute(event, name, value));
  }
  return create(CloudEventSchema, {
    id: event.id,
    source: event.source,
    specVersion: "1.0",
    type: event.type,
    attributes,
    data: event.data === undefined
      ? { case: undefined }
      : { case: "binaryData", value: new TextEncoder().encode(event.data) },
  });
}

function attribute(
  event: CloudEvent,
  name: string,
  value: ExtensionValue,
): CloudEventAttributeValue["attr"] {
  if (name === EXT.deletionTimestamp && typeof value === "string") return timestamp(value);
  // Peers read a string as well, but their sources expect the number (quirk Q38 of the wire).
  if (name === EXT.resourceVersion && typeof value === "string" && isWork(event.type)) {
    const number = Number(value);
    if (value !== "" && isInt32(number)) return { case: "ceInteger", value: number };
  }
  if (typeof value === "number") return { case: "ceInteger", value };
  if (typeof value === "boolean") return { case: "ceBoolean", value };
  if (typeof value === "string") return { case: "ceString", value };
  return { case: "ceBytes", value };
}

function isWork(type: string): boolean {
  return type.startsWith(MANIFEST_BUNDLES + ".") || type.startsWith(MANIFESTS + ".");
}

function fromMessage(message: CloudEventMessage): CloudEvent {
  const { data } = message;
  const text = data.case === "binaryData" ? decodeUtf8(data.value) : undefined;
  const contentType = message.attributes["contenttype"]?.attr;
  const contentTypeText = contentType?.case === "ceString" ? contentType.value : undefined;
  if (contentTypeText?.toLowerCase().startsWith("application/cloudevents")) {
    return decodeStructured(text ?? "");
  }
  if (message.specVersion !== "1.0" && message.specVersion !== "0.3") {
    throw undecodable(`the spec version must be "1.0", not "${message.specVersion}"`);
  }
  const event: CloudEvent = {
    id: message.id,
    source: message.source,
    type: message.type,
    extensions: {},
  };
  if (contentTypeText !== undefined) event.datacontenttype = contentTypeText;
  if (text !== undefined) event.data = text;
  for (const [key, { attr }] of Object.entries(message.attributes)) {
    if (!key.startsWith(PREFIX) || attr.case === undefined) continue;
    const name = key.slice(PREFIX.length);
    const value = attr.case === "ceTimestamp" ? rfc3339(attr.value) : attr.value;
    if (name === "time" || name === "subject" || name === "dataschema") {
      if (typeof value === "string") event[name] = value;
    } else if (isExtensionName(name)) event.extensions[name] = value;
  }
  return event;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw undecodable("its data is not UTF-8", cause);
  }
}

/** RFC 3339 text to a protobuf Timestamp, keeping nanoseconds. What is no time stays text. */
function timestamp(text: string): CloudEventAttributeValue["attr"] {
  if (!isRfc3339(text)) return { case: "ceString", value: text };
  const { seconds, nanos } = splitTime(text);
  return {
    case: "ceTimestamp",
    value: { $typeName: "google.protobuf.Timestamp", seconds: BigInt(seconds), nanos },
  };
}

function rfc3339({ seconds, nanos }: { seconds: bigint; nanos: number }): string {
  const text = joinTime({ seconds: Number(seconds), nanos });
  if (text === undefined) throw undecodable("a timestamp is out of range");
  return text;
}

function undecodable(state: string, cause?: unknown): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `failed to convert protobuf to cloudevent: ${state}`,
    { cause },
  );
}

/**
 * Events in the protobuf flavour of the gRPC doors.
 *
 * Not the official CloudEvents protobuf binding: attributes are called `ce-<name>`, the content type is
 * `contenttype`, and data always travels as `binary_data`.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type SubscriptionRequest, SubscriptionRequestSchema } from "../../gen/cloudevent_pb.ts";
import { MaestroError } from "../errors.ts";
import { type CloudEvent, eventProblem } from "./event.ts";
import { ProtobufReader } from "./protobuf_reader.ts";
import { varintBytes, writeVarint } from "./protobuf_writer.ts";
import { emptyMessage, readMessage, toEvent, undecodable } from "./read_event.ts";
import { writeEvent } from "./write_event.ts";

/** The field of the event in a PublishRequest, and the tag that it has there. */
const EVENT_FIELD = 1;
const EVENT_TAG = 10;

/** The bytes of a PublishRequest. */
export function encodePublishRequest(event: CloudEvent): Uint8Array {
  const message = writeEvent(event);
  const head = 1 + varintBytes(message.length);
  const request = Buffer.allocUnsafeSlow(head + message.length);
  request[0] = EVENT_TAG;
  writeVarint(request, 1, message.length);
  request.set(message, head);
  return request;
}

/** Reads a PublishRequest. Throws `invalid_argument` on anything that is not a whole event. */
export function decodePublishRequest(bytes: Uint8Array): CloudEvent {
  const message = emptyMessage();
  let hasEvent = false;
  try {
    const reader = new ProtobufReader(bytes);
    while (reader.at < bytes.length) {
      const tag = reader.tag();
      if (tag >>> 3 === EVENT_FIELD) {
        readMessage(reader, reader.end(), message);
        hasEvent = true;
      } else reader.skip(tag);
    }
  } catch (cause) {
    throw undecodable("it is not a PublishRequest", cause);
  }
  if (!hasEvent) throw undecodable("the request has no event");
  const event = toEvent(message);
  const problem = eventProblem(event);
  if (problem !== undefined) throw undecodable(problem);
  return event;
}

/** The bytes of a CloudEvent message, as a subscription streams it. */
export function encodeEvent(event: CloudEvent): Uint8Array {
  return writeEvent(event);
}

/** Reads a CloudEvent message. */
export function decodeEvent(bytes: Uint8Array): CloudEvent {
  const message = emptyMessage();
  try {
    readMessage(new ProtobufReader(bytes), bytes.length, message);
  } catch (cause) {
    throw undecodable("it is not a CloudEvent", cause);
  }
  return toEvent(message);
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

/** The CloudEvents service for browsers: what the gRPC door for sources does, over Connect and gRPC-Web. */

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type CloudEvent,
  CloudEventSchema,
  CloudEventService,
  PublishRequestSchema,
  SubscriptionRequestSchema,
} from "../../../gen/cloudevent_pb.ts";
import { MaestroError } from "../../errors.ts";
import { HEARTBEAT_TYPE } from "../../wire/event.ts";
import { decodePublishRequest, encodeEvent } from "../../wire/protobuf.ts";
import type { Watchers } from "../watch.ts";
import { CALLER, ownSource } from "./call.ts";
import { toConnectError } from "./errors.ts";
import { createMessageStream, type MessageStream } from "./message_stream.ts";

/** The methods of the gRPC door, by their paths. */
export interface CloudEventDoor {
  unary: Record<string, (message: Uint8Array, call: SourceCall) => Promise<Uint8Array>>;
  streaming: Record<
    string,
    (message: Uint8Array, stream: MessageStream, call: SourceCall) => Promise<void>
  >;
  /** What gRPC calls an error; undefined for one that nobody meant to throw. */
  statusOf(error: unknown): { code: number; message?: string } | undefined;
}

interface SourceCall {
  header(name: string): string | undefined;
  connection: symbol;
}

const PUBLISH = `/${CloudEventService.typeName}/${CloudEventService.method.publish.name}`;
const SUBSCRIBE = `/${CloudEventService.typeName}/${CloudEventService.method.subscribe.name}`;

/** Makes the methods. Subscribers count among the watchers. */
export function createCloudEventCalls(
  door: CloudEventDoor,
  watchers: Watchers | undefined,
): ServiceImpl<typeof CloudEventService> {
  const explain = (error: unknown) => {
    const status = door.statusOf(error);
    // Both have the same numbers.
    return status === undefined ? error : new ConnectError(status.message ?? "", status.code);
  };
  return {
    async publish(request, context) {
      const method = methodOf(door.unary, PUBLISH);
      const message = toBinary(PublishRequestSchema, request);
      checkSource(message, ownSource(context.values));
      try {
        await method(message, toCall(context));
      } catch (error) {
        throw explain(error);
      }
      return {};
    },
    async *subscribe(request, context) {
      const stream = createMessageStream((name, value) => context.responseHeader.set(name, value));
      const { untilMs } = context.values.get(CALLER);
      const leave = watchers?.admit((error) => {
        const { code, rawMessage: message } = toConnectError(error);
        stream.end({ code, message });
      }, untilMs);
      stream.onClose(() => leave?.());
      context.signal.addEventListener("abort", stream.close);
      if (context.signal.aborted) stream.close();
      try {
        const method = methodOf(door.streaming, SUBSCRIBE);
        await method(toBinary(SubscriptionRequestSchema, request), stream, toCall(context));
        // Headers leave with the first message, and clients wait for them.
        yield toMessage(encodeEvent(heartbeat()));
        for (;;) {
          const taken = await stream.take();
          if (taken === undefined) throw context.signal.reason;
          if ("end" in taken) throw new ConnectError(taken.end.message ?? "", taken.end.code);
          yield toMessage(taken.message);
        }
      } catch (error) {
        throw explain(error);
      } finally {
        context.signal.removeEventListener("abort", stream.close);
        stream.close();
      }
    },
  };
}

/** By the event as it is read, which may say otherwise than the message that it came in. */
function checkSource(message: Uint8Array, own: string | undefined): void {
  if (own === undefined) return;
  const { source } = decodePublishRequest(message);
  if (source === own) return;
  const reason = `Cannot accept an event of source "${source}": the token is for "${own}"`;
  throw new MaestroError("permission_denied", reason);
}

function methodOf<Method>(methods: Record<string, Method>, path: string): Method {
  const method = methods[path];
  if (method === undefined) throw new MaestroError("internal", `nothing serves ${path}`);
  return method;
}

function toCall({ requestHeader, values }: HandlerContext): SourceCall {
  const { authorization } = values.get(CALLER);
  return {
    header: (name) =>
      name === "authorization" ? authorization : requestHeader.get(name) ?? undefined,
    // What asks over one connection listens over another here, for all that anybody knows.
    connection: Symbol("call"),
  };
}

function toMessage(bytes: Uint8Array): CloudEvent {
  return fromBinary(CloudEventSchema, bytes);
}

function heartbeat() {
  return { id: crypto.randomUUID(), source: "", type: HEARTBEAT_TYPE, extensions: {} };
}

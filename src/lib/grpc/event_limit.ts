/** What is larger than an agent takes: it would end each stream that it is sent on, and all that comes after it too. */

import { toBareDeletion } from "../spec/event.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { encodeEvent } from "../wire/protobuf.ts";

export interface EventLimit {
  /** The largest event that the agents of a consumer take, in bytes. */
  bytesMax(consumerName: string): number;
  /** Told of what cannot be sent. */
  refuse(event: CloudEvent, reason: string): void;
}

/** Room for all attributes but the metadata. */
const HEAD_BYTES_MAX = 64 * 1024;

/** What is sent in place of an event: itself, less of it if that is enough, or nothing. */
export function fitEvent(
  { bytesMax, refuse }: EventLimit,
  consumerName: string,
  event: CloudEvent,
): CloudEvent | undefined {
  // A question is cut to its size by whoever asks.
  if (event.extensions[EXT.resourceId] === undefined) return event;
  const limit = bytesMax(consumerName);
  const metadata = String(event.extensions[EXT.metadata] ?? "");
  const length = (event.data?.length ?? 0) + metadata.length;
  // No unit of UTF-16 takes more than three bytes, so that nearly none has to be measured.
  if (length * 3 + HEAD_BYTES_MAX <= limit) return event;
  const { length: bytes } = encodeEvent(event);
  if (bytes <= limit) return event;
  const bare = toBareDeletion(event);
  if (bare === undefined) {
    refuse(
      event,
      `Cannot send the event: it has ${bytes} bytes, and the agent takes at most ${limit}`,
    );
  }
  return bare;
}

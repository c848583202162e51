/** An event over every road that it can travel, and what it means, whatever its bytes. */

import { parseJson } from "../../src/lib/json.ts";
import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import { decodeHttpBinary } from "../../src/lib/wire/http.ts";
import { decodeMqtt, encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { decodeEvent, encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { decodeStructured, encodeStructured } from "../../src/lib/wire/structured.ts";

/** Encodes the event for a road and decodes it at the end of it. */
export const ROADS: Record<string, (event: CloudEvent) => CloudEvent> = {
  protobuf: (event) => decodeEvent(encodeEvent(event)),
  MQTT: (event) => decodeMqtt(encodeMqtt(event)),
  "structured JSON": (event) => decodeStructured(encodeStructured(event)),
  "HTTP headers": (event) => {
    const { userProperties } = encodeMqtt(event);
    const headers = Object.entries(userProperties).map(([name, value]) =>
      [name, encodeURIComponent(String(value))] as const
    );
    return decodeHttpBinary(headers, event.data ?? "");
  },
};

/** What two events that say the same have in common. Text stands for what some roads carry as text only. */
export function meaning(event: CloudEvent): Record<string, unknown> {
  const { extensions, data, ...core } = event;
  const texts = Object.entries(extensions).map(([name, value]) => [name, String(value)]);
  const { metadata, ...others } = Object.fromEntries(texts);
  return {
    ...core,
    extensions: others,
    metadata: metadata === undefined ? undefined : parseJson(metadata),
    data: data === undefined ? undefined : parseJson(data),
  };
}

/** The part of an event that the database keeps beside its data and metadata. */
export function attributesOf(event: CloudEvent): string {
  const { [EXT.metadata]: _, ...extensions } = event.extensions;
  return encodeStructured({ ...event, extensions, data: undefined });
}

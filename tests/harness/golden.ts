/** The specification's vectors, and what the Go server, its clients and the real work agent have sent. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { CloudEventSchema } from "../../src/gen/cloudevent_pb.ts";
import { parseJsonObject } from "../../src/lib/json.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import type { MqttMessage } from "../../src/lib/wire/mqtt.ts";
import { readStructured } from "../../src/lib/wire/structured.ts";

const GOLDEN = join(import.meta.dir, "../golden");

interface Vectors {
  vectors: Record<string, Record<string, unknown>>;
  hash_V3: string;
  hash_V9: string;
  hash_V14: string;
  eraA_V3: string;
  eraA_V18: string;
  rest18: Record<string, unknown>;
}

// Parsed so that no number changes.
export const VECTORS = parseJsonObject(
  readFileSync(join(GOLDEN, "wire_vectors.json"), "utf8"),
  "the vectors",
) as unknown as Vectors;

/** One of the specification's events. */
export function vector(name: string): CloudEvent {
  return readStructured(VECTORS.vectors[name] ?? {});
}

/** Something that was seen on a wire. */
export interface CapturedRecord {
  channel: string;
  kind?: string;
  protojson?: JsonValue;
  wire_base64?: string;
  data_text?: string;
  result_code?: string;
  result_message?: string;
  topic?: string;
  content_type?: string;
  user_properties?: [string, string][];
  payload_text?: string;
  body_text?: string;
  path?: string;
  status?: number;
}

export interface CapturedFile {
  name: string;
  records: CapturedRecord[];
}

/** Every step that was captured, in order. */
export function capturedFiles(): CapturedFile[] {
  const folder = join(GOLDEN, "captured");
  return readdirSync(folder).toSorted().map((file) => {
    const { records } = JSON.parse(readFileSync(join(folder, file), "utf8"));
    return { name: file.replace(/\.json$/, ""), records };
  });
}

/** The message of a record from a gRPC stream or call. Of later events in a file only the readable form was kept. */
export function protobufOf({ wire_base64, protojson }: CapturedRecord): Uint8Array | undefined {
  if (wire_base64 !== undefined) return Buffer.from(wire_base64, "base64");
  if (protojson === undefined) return undefined;
  return toBinary(CloudEventSchema, fromJson(CloudEventSchema, protojson));
}

/** The message of a record from the MQTT broker. */
export function mqttOf(record: CapturedRecord): MqttMessage | undefined {
  const { user_properties, content_type, payload_text = "" } = record;
  if (user_properties === undefined) return undefined;
  return {
    ...(content_type ? { contentType: content_type } : {}),
    userProperties: Object.fromEntries(user_properties),
    payload: new TextEncoder().encode(payload_text),
  };
}

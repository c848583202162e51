/**
 * The official CloudEvents SDK for JavaScript as a second opinion, where our flavour is plain CloudEvents: structured
 * JSON, HTTP modes, names of attributes.
 */

import { expect, test } from "bun:test";
import { CloudEvent as SdkEvent, HTTP, type Message } from "cloudevents";
import { parseJson } from "../../src/lib/json.ts";
import { type CloudEvent, EXT, isExtensionName } from "../../src/lib/wire/event.ts";
import { decodeBatch, decodeHttpBinary } from "../../src/lib/wire/http.ts";
import { encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { decodeStructured, encodeStructured } from "../../src/lib/wire/structured.ts";
import { vector, VECTORS } from "../harness/golden.ts";
import { meaning } from "./roads.ts";

/** Heartbeats have no source, which makes them none of the SDK's events. */
const NAMES = Object.keys(VECTORS.vectors).filter((name) => name !== "V16");

const STRUCTURED = { "content-type": "application/cloudevents+json" };

/** What the SDK understands of a message. */
function understood(message: Message): SdkEvent<unknown> {
  const event = HTTP.toEvent<unknown>(message);
  return Array.isArray(event) ? event[0] as SdkEvent<unknown> : event as SdkEvent<unknown>;
}

/** What the SDK's event means, in our words. The SDK keeps milliseconds of a time. */
function meaningOf(event: SdkEvent<unknown>): Record<string, unknown> {
  const { id, source, type, time, datacontenttype, data, specversion: _, ...rest } = event.toJSON();
  const extensions = Object.fromEntries(
    Object.entries(rest).filter(([name, value]) => isExtensionName(name) && value !== undefined),
  ) as CloudEvent["extensions"];
  return inMilliseconds(meaning({
    ...{ id, source, type } as { id: string; source: string; type: string },
    ...(time === undefined ? {} : { time: String(time) }),
    ...(datacontenttype === undefined ? {} : { datacontenttype: String(datacontenttype) }),
    extensions,
    ...(data === undefined ? {} : { data: JSON.stringify(data) }),
  }));
}

function inMilliseconds({ time, ...rest }: Record<string, unknown>): Record<string, unknown> {
  return { ...rest, time: time === undefined ? undefined : new Date(String(time)).toISOString() };
}

for (const name of NAMES) {
  test(`${name}: the SDK reads our structured JSON, and we read the SDK's`, () => {
    const event = vector(name);
    const ours = understood({ headers: STRUCTURED, body: encodeStructured(event) });

    expect(meaningOf(ours)).toEqual(inMilliseconds(meaning(event)));
    expect(inMilliseconds(meaning(decodeStructured(String(HTTP.structured(ours).body)))))
      .toEqual(inMilliseconds(meaning(event)));
  });

  test(`${name}: the SDK and we read the same from headers, and we read the SDK's`, () => {
    const event = vector(name);
    const { userProperties } = encodeMqtt(event);
    const headers = {
      ...(event.data === undefined ? {} : { "content-type": "application/json" }),
      ...userProperties,
    };
    const sdk = understood({ headers, body: event.data ?? "" });
    const message = HTTP.binary(sdk);
    const pairs = Object.entries(message.headers).map(([key, value]) =>
      [key, String(value)] as const
    );

    const { datacontenttype: _, ...ours } = meaning(
      decodeHttpBinary(pairs, message.body === undefined ? "" : String(message.body)),
    );

    const { datacontenttype: __, ...wanted } = meaning(event);
    expect(inMilliseconds(ours)).toEqual(inMilliseconds(wanted));
  });
}

test("the SDK and we read the same events from a batch", () => {
  const body = `[${NAMES.map((name) => encodeStructured(vector(name))).join(",")}]`;
  const headers = { "content-type": "application/cloudevents-batch+json" };

  const theirs = HTTP.toEvent<unknown>({ headers, body }) as SdkEvent<unknown>[];
  const ours = decodeBatch(body, { max: 100 });

  expect(ours).toHaveLength(NAMES.length);
  expect(ours.map((event) => inMilliseconds(meaning(event as CloudEvent))))
    .toEqual(theirs.map(meaningOf));
});

test("the SDK and we agree on what a name of an extension is", () => {
  const names = [
    "resourceid",
    "a1",
    "x",
    "with-dash",
    "with_underscore",
    "with space",
    "ünicode",
    "a.b",
  ];
  const isTheirs = (name: string) => {
    try {
      return new SdkEvent({ id: "i", source: "/s", type: "t", [name]: "x" }).validate();
    } catch {
      return false;
    }
  };

  expect(names.filter(isTheirs)).toEqual(names.filter(isExtensionName));
});

test("what the SDK would change, and we keep: integers above 2^53, and nanoseconds", () => {
  const data = '{"n":9007199254740993,"d":1.0}';
  const event = { ...vector("V1"), data };

  const ours = decodeStructured(encodeStructured(event));
  const theirs = understood({ headers: STRUCTURED, body: encodeStructured(event) });

  expect([ours.data, ours.time]).toEqual([data, "2026-01-02T03:04:05.123456789Z"]);
  expect(JSON.stringify(theirs.data)).not.toBe(JSON.stringify(parseJson(data)));
  expect(theirs.time).toBe("2026-01-02T03:04:05.123Z");
  expect(ours.extensions[EXT.resourceVersion]).toBe(0);
});

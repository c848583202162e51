/** What MQTT 5 calls the things that go wrong (§2.4). */

const REASONS: Record<number, string> = {
  0x81: "malformed packet",
  0x82: "protocol error",
  0x84: "it does not speak MQTT 5",
  0x85: "client id not valid",
  0x86: "bad user name or password",
  0x87: "not authorized",
  0x88: "server unavailable",
  0x89: "server busy",
  0x8a: "banned",
  0x8b: "server shutting down",
  0x8d: "keep alive timeout",
  0x8e: "another client connected with the same client id",
  0x8f: "topic filter invalid",
  0x90: "topic name invalid",
  0x93: "receive maximum exceeded",
  0x95: "packet too large",
  0x97: "quota exceeded",
  0x98: "administrative action",
  0x9a: "retain not supported",
  0x9c: "use another server",
  0x9d: "server moved",
  0x9e: "shared subscriptions not supported",
  0x9f: "connection rate exceeded",
  0xa2: "wildcard subscriptions not supported",
};

/** From here on a reason code is a refusal (§2.4). */
const FAILURE = 0x80;

/** A publish that reached the broker, where nobody listens (§3.4.2.1). */
export const NO_MATCHING_SUBSCRIBERS = 0x10;
export const SESSION_TAKEN_OVER = 0x8e;

/** True for a reason code that says no. */
export function isRefusal(code: number | undefined): boolean {
  return (code ?? 0) >= FAILURE;
}

/** The words for a reason code, with what the broker itself says of it. */
export function describeReason(code: number | undefined, text?: string): string {
  const number = code ?? FAILURE;
  const words = REASONS[number] ?? `reason 0x${number.toString(16)}`;
  return text ? `${words} (${text})` : words;
}

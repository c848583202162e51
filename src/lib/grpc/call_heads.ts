/** The headers with which calls begin. */

import { FIELD_BYTES } from "../http2/fields.ts";
import { encodeBlock } from "../http2/hpack.ts";

export interface CallHead {
  block: Buffer;
  /** By the count of RFC 9113 §6.5.2. */
  listBytes: number;
}

const COMMON = [
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ["user-agent", "maestro-agent"],
  ["grpc-accept-encoding", "identity,gzip"],
] as const;

/** Makes the heads of a connection's calls. The one of each path is kept, as the next call of it has mostly the same. */
export function createCallHeads(
  scheme: string,
  authority: string,
): (path: string, headers: Record<string, string>, timeoutMs: number | undefined) => CallHead {
  const kept = new Map<string, CallHead & { own: readonly (readonly [string, string])[] }>();
  return (path, headers, timeoutMs) => {
    const own = Object.entries(headers);
    if (timeoutMs !== undefined) own.push(["grpc-timeout", `${timeoutMs}m`]);
    const last = kept.get(path);
    if (last !== undefined && isSame(last.own, own)) return last;
    const fields = [
      [":method", "POST"],
      [":scheme", scheme],
      [":path", path],
      [":authority", authority],
      ...COMMON,
      ...own,
    ] as const;
    const listBytes = fields.reduce(
      (sum, [name, value]) => sum + name.length + value.length + FIELD_BYTES,
      0,
    );
    const head = { own, listBytes, block: encodeBlock(fields) };
    kept.set(path, head);
    return head;
  };
}

type Fields = readonly (readonly [string, string])[];

function isSame(one: Fields, other: Fields): boolean {
  return one.length === other.length &&
    one.every(([name, value], at) => other[at]?.[0] === name && other[at]?.[1] === value);
}

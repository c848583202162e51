/** A gRPC client on a bare socket, light enough not to be what is measured. */

import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import type { Header } from "./hpack.ts";
import { plainHeader } from "./frames.ts";
import { openHttp2, type StreamEvents } from "./http2.ts";

export interface GrpcClient {
  /** Publishes a framed message. Rejects if the server does not take it. */
  publish(framed: Uint8Array): Promise<void>;
  /** Subscribes and resolves once the server has let us in. `ended` is called when the stream is over. */
  subscribe(
    framed: Uint8Array,
    hear: (message: Uint8Array) => void,
    ended?: () => void,
  ): Promise<void>;
  close(): void;
}

const FRAME_HEAD_BYTES = 5;
/** `:method: POST` and `:scheme: http` of HPACK's own table. */
const POST_OVER_HTTP = Buffer.from([0x83, 0x86]);
/** A name and its value as they are, or in HPACK's code. */
const STATUS_NAMES = [Buffer.from("grpc-status"), Buffer.from("9acac8b21234da8f", "hex")];
const STATUS_GOOD = [Buffer.from("0"), Buffer.from("07", "hex")];

/** The message as it travels: a flag, its length, its bytes. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(message.length + FRAME_HEAD_BYTES);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, FRAME_HEAD_BYTES);
  return framed;
}

/** Connects; all calls share the connection. */
export async function openGrpcClient(port: number): Promise<GrpcClient> {
  const connection = await openHttp2(port);
  const headersOf = (path: string) =>
    Buffer.concat([
      POST_OVER_HTTP,
      plainHeader(":path", path),
      plainHeader(":authority", `127.0.0.1:${port}`),
      plainHeader("content-type", "application/grpc"),
      plainHeader("te", "trailers"),
    ]);
  const [publishing, subscribing] = [headersOf(PUBLISH), headersOf(SUBSCRIBE)];
  const settle = (resolve: () => void, reject: (error: Error) => void): StreamEvents => ({
    ended(headers) {
      if (headers.some(isGood)) return resolve();
      // What it says is in HPACK's code, for which a table of its own would be needed.
      const status = headers.find(isStatus)?.value.toString("hex");
      reject(new Error(`The server refused a call, with the coded gRPC status 0x${status}`));
    },
    failed: reject,
  });
  return {
    publish: (framed) =>
      new Promise((resolve, reject) => {
        connection.request(publishing, framed, settle(resolve, reject));
      }),
    subscribe: (framed, hear, ended = () => {}) =>
      new Promise((resolve, reject) => {
        const settled = settle(resolve, reject);
        connection.request(subscribing, framed, {
          ended(headers) {
            settled.ended(headers);
            ended();
          },
          failed(error) {
            settled.failed(error);
            ended();
          },
          begun: resolve,
          body: splitFrames(hear),
        });
      }),
    close: () => connection.close(),
  };
}

function isStatus({ name }: Header): boolean {
  return name !== undefined && STATUS_NAMES.some((status) => status.equals(name));
}

function isGood(header: Header): boolean {
  return isStatus(header) && STATUS_GOOD.some((good) => good.equals(header.value));
}

function splitFrames(hear: (message: Uint8Array) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      hear(bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    rest = bytes.subarray(at);
  };
}

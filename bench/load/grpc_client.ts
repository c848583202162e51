/** A gRPC client on a bare `node:http2` connection, light enough not to be what is measured. */

import http2 from "node:http2";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";

export interface GrpcClient {
  /** Publishes a framed message. Rejects with what the server says. */
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
const WINDOW_BYTES = 16 * 1024 * 1024;

/** The message as it travels: a flag, its length, its bytes. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(message.length + FRAME_HEAD_BYTES);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, FRAME_HEAD_BYTES);
  return framed;
}

/** Connects; all calls share the connection. */
export async function openGrpcClient(port: number): Promise<GrpcClient> {
  const session = http2.connect(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: WINDOW_BYTES },
  });
  await new Promise<void>((resolve, reject) => {
    session.once("connect", () => resolve());
    session.once("error", reject);
  });
  session.setLocalWindowSize(WINDOW_BYTES);
  // Every call on it fails as well, and says so.
  session.on("error", () => {});
  const request = (path: string) =>
    session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
  return {
    publish: (framed) =>
      new Promise((resolve, reject) => {
        const stream = request(PUBLISH);
        const look = (headers: http2.IncomingHttpHeaders) => {
          const status = headers["grpc-status"];
          if (status === "0") resolve();
          else if (status !== undefined) reject(refusal(headers));
        };
        stream.on("response", look);
        stream.on("trailers", look);
        stream.on("error", reject);
        stream.resume();
        stream.end(framed);
      }),
    subscribe: (framed, hear, ended = () => {}) =>
      new Promise((resolve, reject) => {
        const stream = request(SUBSCRIBE);
        stream.on("response", (headers) => {
          if (headers["grpc-status"] === undefined) resolve();
          else reject(refusal(headers));
        });
        stream.on("error", reject);
        stream.on("data", splitFrames(hear));
        stream.on("close", ended);
        stream.end(framed);
      }),
    close: () => session.destroy(),
  };
}

function refusal(headers: http2.IncomingHttpHeaders): Error {
  return new Error(`gRPC status ${headers["grpc-status"]}: ${headers["grpc-message"] ?? ""}`);
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

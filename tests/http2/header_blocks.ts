/** Header blocks as other encoders write them, and how they are read. */

import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { createFrameReader, FLAG, FRAME, frame, PREFACE } from "../../src/lib/http2/frames.ts";
import { createBlockDecoder, type DecodeBlock, encodeBlock } from "../../src/lib/http2/hpack.ts";

export type Fields = [string, string][];

/** The fields of a block. */
export function read(decode: DecodeBlock, block: Buffer): Fields {
  const fields: Fields = [];
  decode(block, (name, value) => fields.push([name, value]));
  return fields;
}

/** A server that only reads: the fields of each header block that clients send. */
export async function startListening(): Promise<
  Disposable & { port: number; blocks: Fields[]; raw: Buffer[] }
> {
  const blocks: Fields[] = [];
  const raw: Buffer[] = [];
  const server = net.createServer((socket) => {
    const decode = createBlockDecoder();
    let held = Buffer.alloc(0);
    const readFrame = createFrameReader((type, flags, streamId, body) => {
      if (type === FRAME.settings && (flags & FLAG.ack) === 0) {
        socket.write(frame(FRAME.settings, FLAG.ack, 0));
      }
      if (type !== FRAME.headers && type !== FRAME.continuation) return;
      const skipped = type === FRAME.headers && (flags & FLAG.priority) !== 0 ? 5 : 0;
      held = Buffer.concat([held, body.subarray(skipped)]);
      if ((flags & FLAG.endHeaders) === 0) return;
      raw.push(held);
      blocks.push(read(decode, held));
      held = Buffer.alloc(0);
      socket.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, streamId, ANSWER));
    }, { preface: PREFACE });
    socket.write(frame(FRAME.settings, 0, 0));
    socket.on("data", (piece: Buffer) => {
      // Cut anywhere, as networks do.
      const half = Math.floor(piece.length / 2);
      readFrame(piece.subarray(0, half));
      readFrame(piece.subarray(half));
    });
    // Clients that leave are no concern here.
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, blocks, raw, [Symbol.dispose]: () => void server.close() };
}

const ANSWER = encodeBlock([
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-status", "0"],
]);

/** Names that come again, and values of printable characters. */
export function randomFields(random: (below: number) => number): Fields {
  const printable = () => String.fromCharCode(32 + random(95));
  const fields = new Map<string, string>();
  for (let count = random(12); count >= 0; count--) {
    const length = random(20) === 0 ? random(2_000) : random(40);
    const value = random(3) === 0
      ? `again-${random(5)}`
      : Array.from({ length }, printable).join("").trim();
    fields.set(`x-name-${random(60)}`, value);
  }
  return [...fields];
}

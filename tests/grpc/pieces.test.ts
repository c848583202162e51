/** Messages that come in pieces, as large ones do. */

import { expect, test } from "bun:test";
import http2 from "node:http2";
import { parseFlags } from "../../src/lib/flags.ts";
import { PUBLISH } from "../../src/lib/grpc/paths.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import { GRPC_FLAGS, grpcLimits } from "../../src/lib/grpc_config.ts";
import { testLogger } from "../harness/postgres.ts";
import { seeded } from "../wire/refusals.ts";

const HEAD_BYTES = 5;

test.each([[1, 10], [7, 3_000], [16_384, 300_000]])(
  "a message is the same in pieces of up to %d bytes",
  async (pieceBytesMax, size) => {
    const methods = {
      unary: { [PUBLISH]: (message: Uint8Array) => Promise.resolve(message) },
      streaming: {},
    };
    const limits = grpcLimits(parseFlags(GRPC_FLAGS, [], {}).values);
    const log = testLogger();
    await using server = await serveGrpc(methods, { hostname: "127.0.0.1", port: 0, limits, log });
    const random = seeded(size);
    const framed = Buffer.from(Array.from({ length: HEAD_BYTES + size }, () => random(256)));
    framed[0] = 0;
    framed.writeUInt32BE(size, 1);

    const session = http2.connect(`http://127.0.0.1:${server.port}`);
    const stream = session.request({
      ":method": "POST",
      ":path": PUBLISH,
      "content-type": "application/grpc",
    });
    for (let at = 0; at < framed.length;) {
      const end = at + 1 + random(pieceBytesMax);
      stream.write(framed.subarray(at, end));
      at = end;
    }
    stream.end();
    const reply: Buffer[] = [];
    for await (const piece of stream) reply.push(piece);
    session.destroy();

    expect(Buffer.concat(reply).equals(framed)).toBeTrue();
  },
);

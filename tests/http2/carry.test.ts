/** The socket below a connection, before and after it is open. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { carry } from "../../src/lib/http2/carry.ts";
import { openClientConnection } from "../../src/lib/http2/client_connection.ts";
import { eventually } from "../harness/eventually.ts";

test("a socket is given nothing before the other end is known, and is closed at once if that takes too long", async () => {
  const greeted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => greeted.push(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ host: "127.0.0.1", port });
  const connection = carry(
    socket,
    (transport) =>
      openClientConnection(transport, { windowBytes: 100_000, headerBytesMax: 1_000 }, {
        ready() {},
        sentAway() {},
        pinged() {},
        failed() {},
        closed() {},
      }),
    { failed() {}, opening: "secureConnect" },
  );
  connection.request(Buffer.alloc(10))?.end();

  // The handshake has begun, and is not answered.
  await eventually(() => greeted.length === 1);
  const given = socket.bytesWritten + socket.writableLength;
  connection.destroy(0, "");

  expect(given).toBe(0);
  expect(socket.destroyed).toBeTrue();
  server.close();
});

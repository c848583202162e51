/** The sockets that the driver is given. */

import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { createSockets } from "../../src/lib/db/sockets.ts";

const SOME_TURNS_MS = 50;

test("a socket that the driver gives up before it is dialled is never dialled", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const to = { host: "127.0.0.1", port, user: "", password: "", database: "" };
  const sockets = createSockets(
    { ...to, sslMode: "disable" },
    { silentMsMax: 1_000, connectTimeoutMs: 1_000 },
  );

  const socket = await sockets.open();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.destroy(new Error("given up"));
  await closed;
  // As the driver does.
  socket.removeAllListeners();

  await Bun.sleep(SOME_TURNS_MS);
  expect([connections, socket.destroyed]).toEqual([0, true]);
  await new Promise((resolve) => server.close(resolve));
});

/** A load balancer for TCP: each connection goes to the next server that takes it. */

import { connect, createServer, type Socket } from "node:net";

export interface RoundRobin extends AsyncDisposable {
  /** Of 127.0.0.1. */
  port: number;
}

/** Spreads connections over these ports of 127.0.0.1, passing over those where nobody listens. */
export async function startRoundRobin(ports: readonly number[]): Promise<RoundRobin> {
  const sockets = new Set<Socket>();
  let next = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    // The other side learns of it by the close that follows.
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const carry = (client: Socket, triesLeft: number) => {
    const upstream = connect(ports[next++ % ports.length] ?? 0, "127.0.0.1");
    keep(upstream);
    let isConnected = false;
    upstream.on("connect", () => {
      isConnected = true;
      client.pipe(upstream).pipe(client);
      client.on("close", () => upstream.destroy());
    });
    upstream.on("close", () => {
      if (isConnected || triesLeft === 0 || client.destroyed) client.destroy();
      else carry(client, triesLeft - 1);
    });
  };
  const server = createServer((client) => {
    keep(client);
    carry(client, ports.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

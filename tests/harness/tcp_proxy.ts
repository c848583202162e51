/** Stands between a client and a server, and can let the connection die without a sound. */

import { connect, createServer, type Socket } from "node:net";

export interface TcpProxy extends AsyncDisposable {
  port: number;
  /** Clients that are connected now. */
  readonly connections: number;
  /** From now on nothing is carried in either direction, and nothing is closed: half-open connections. */
  freeze(): void;
  /** From now on what clients send is lost; what the server sends still reaches them. */
  mute(): void;
}

/** Carries every connection to `port` of 127.0.0.1; `own.port` is where it listens, if that matters. */
export async function startTcpProxy(
  port: number,
  own: { port: number } = { port: 0 },
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  let isFrozen = false;
  let isMuted = false;
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    clients.add(client);
    client.on("close", () => clients.delete(client));
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from);
      from.on("data", (bytes) => {
        if (!isFrozen && !(isMuted && from === client)) to.write(bytes);
      });
      from.on("close", () => {
        sockets.delete(from);
        if (!isFrozen) to.destroy();
      });
      // The other side learns of it by the close that follows.
      from.on("error", () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(own.port, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    get connections() {
      return clients.size;
    },
    freeze: () => {
      isFrozen = true;
    },
    mute: () => {
      isMuted = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

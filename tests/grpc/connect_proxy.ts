/** An HTTP proxy that opens tunnels as it is asked to, or answers as a test tells it to. */

import net, { type Socket } from "node:net";
import type { Proxy } from "../../src/lib/grpc/proxy.ts";
import { serveRaw } from "./odd_server.ts";

export interface ConnectProxy extends AsyncDisposable {
  proxy: Proxy;
  /** The headers of each request. */
  requests: string[];
  sockets: Socket[];
}

export const OPEN = "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n";

/**
 * Whatever name is asked for, it leads to `port` of this machine. `isTogether` sends the answer along with the first words of
 * the server.
 */
export async function serveTunnels(
  port: number,
  { open = OPEN, isTogether = false }: { open?: string; isTogether?: boolean } = {},
): Promise<ConnectProxy> {
  const requests: string[] = [];
  const served = await serveRequests((socket, request) => {
    requests.push(request);
    const server = net.connect({ host: "127.0.0.1", port });
    socket.once("close", () => server.destroy());
    server.once("close", () => socket.destroy());
    server.on("error", () => {});
    if (!isTogether) socket.write(open);
    server.once("data", (first: Buffer) => {
      socket.write(isTogether ? Buffer.concat([Buffer.from(open), first]) : first);
      server.pipe(socket);
    });
    socket.pipe(server);
  });
  return { ...served, requests };
}

/** Calls `answer` for each request, and leaves everything else to it. */
export async function serveRequests(
  answer: (socket: Socket, request: string) => void,
): Promise<Omit<ConnectProxy, "requests">> {
  const served = await serveRaw((socket) => {
    let text = "";
    const read = (piece: Buffer) => {
      text += piece.toString("latin1");
      if (!text.endsWith("\r\n\r\n")) return;
      socket.off("data", read);
      answer(socket, text);
    };
    socket.on("data", read);
  });
  const name = `127.0.0.1:${served.port}`;
  return { ...served, proxy: { host: "127.0.0.1", port: served.port, name, variable: "test" } };
}

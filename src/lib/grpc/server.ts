/**
 * A gRPC server on HTTP/2 of our own: unary and server-streaming methods over bytes.
 *
 * Half of what a call costs through an adapter is the adapter (docs/decisions/0004 and 0050), and Maestro serves just
 * two methods. Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

import type { Logger } from "../log.ts";
import { Http2Error } from "../http2/frames.ts";
import { serveHttp2, type ServerTls } from "../http2/server.ts";
import { type Methods, serveStream } from "./call.ts";
import { type Connection, openConnection, WINDOW_BYTES } from "./connection.ts";
import { createHeldBytes } from "./held_bytes.ts";
import type { GrpcLimits } from "./limits.ts";
import { createRounds, type Rounds } from "./rounds.ts";

export interface GrpcServerOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  limits: GrpcLimits;
  /** What the requests under way may hold in memory together. */
  heldBytesMax?: number;
  /** By which connections are pinged; its own unless given. */
  rounds?: Rounds;
  /** Plain HTTP/2 without it. */
  tls?: ServerTls | undefined;
  log: Logger;
}

export interface GrpcServer extends AsyncDisposable {
  port: number;
  /** Those that are open and stay so. */
  readonly connectionCount: number;
  /** Ends so many connections, so that their clients come back or go elsewhere; returns how many there were. */
  sendAway(countMax: number): number;
  /** New connections get these from now on. Throws if they do not fit together. */
  setTls(tls: ServerTls): void;
}

const HEADER_BYTES_MAX = 64 * 1024;
/** As much as REST holds of bodies. */
const HELD_BYTES_MAX = 256 * 1024 * 1024;
/** Beyond the calls that are refused in words. */
const REFUSED_STREAMS_MAX = 100;

/** Starts serving. Disposing takes no new connection, and drains those that are open. */
export async function serveGrpc(methods: Methods, options: GrpcServerOptions): Promise<GrpcServer> {
  const { hostname, port, tls, limits, rounds = createRounds(), log } = options;
  const connections = new Set<Connection>();
  const held = createHeldBytes(options.heldBytesMax ?? HELD_BYTES_MAX);
  const server = await serveHttp2({
    hostname,
    port,
    tls,
    limits: {
      windowBytes: WINDOW_BYTES,
      headerBytesMax: HEADER_BYTES_MAX,
      streamsMax: limits.callsMax + REFUSED_STREAMS_MAX,
      greetingMs: limits.connectionTimeoutMs,
    },
    own(http2) {
      const connection = openConnection(http2, rounds, limits, log);
      connections.add(connection);
      return {
        stream: (stream) => serveStream(stream, { methods, limits, connection, held, log }),
        pinged: connection.pinged,
        failed(error) {
          if (error instanceof Http2Error) log.debug("a connection failed", { error });
          else log.error("a connection failed", { error });
        },
        closed() {
          connections.delete(connection);
          connection.closed();
        },
      };
    },
    failed: (error) => log.debug("a connection failed", { error }),
  });
  const staying = () => [...connections].filter(({ isDraining }) => !isDraining);
  return {
    port: server.port,
    setTls: server.setTls,
    get connectionCount() {
      return staying().length;
    },
    sendAway(countMax) {
      const leaving = staying().slice(0, countMax);
      for (const connection of leaving) void connection.drain("cut_off");
      return leaving.length;
    },
    async [Symbol.asyncDispose]() {
      server.stop();
      await Promise.all([...connections].map(({ drain }) => drain("graceful_stop")));
    },
  };
}

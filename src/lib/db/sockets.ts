/**
 * The sockets of a pool: opened here, TLS included, and thrown away when nothing comes back any more.
 *
 * A half-open connection answers nothing and is never closed, so a statement on it would wait for ever. The driver has
 * no time limit for statements, and its `cancel` needs another connection; only the socket can be taken away.
 */

import { isIP, Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { DatabaseAddress } from "./address.ts";

export interface Sockets {
  /** Resolves with a socket that is open or opening. Never rejects: the driver would wait for ever. */
  open(): Promise<Socket>;
  /** Throws away those that have owed an answer for so long; with 0 all of them. */
  drop(silentMs: number): void;
}

export interface SocketLimits {
  /** How long the server may say nothing while it owes an answer. */
  silentMsMax: number;
  /** How long it may take to agree on TLS. */
  connectTimeoutMs: number;
}

/** Silence is counted in looks, not by the clock: when we were held up ourselves, an answer may lie there unread. */
const LOOK_MS = 250;
/** After so long the kernel looks after a connection on which nothing is owed. */
const KEEP_ALIVE_MS = 10_000;
/** ReadyForQuery, after which the server owes nothing: `Z`, its length, and the state of the transaction. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5]);
const READY_BYTES = READY.length + 1;
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const SSL_WILLING = "S".charCodeAt(0);

interface Watched {
  socket: Socket;
  /** For how long an answer has been awaited; undefined if none is. */
  silentMs: number | undefined;
  tail: Buffer;
}

/** Makes the opener for one pool. */
export function createSockets(to: DatabaseAddress, limits: SocketLimits): Sockets {
  const watched = new Set<Watched>();
  let looking: Timer | undefined;

  const drop = (silentMsMin: number) => {
    for (const { socket, silentMs } of watched) {
      if (silentMsMin === 0 || (silentMs ?? 0) >= silentMsMin) {
        socket.destroy(silence(silentMs ?? 0));
      }
    }
  };
  const look = () => {
    for (const one of watched) if (one.silentMs !== undefined) one.silentMs += LOOK_MS;
    drop(limits.silentMsMax);
  };
  /** Those that owe an answer. While there are none there is nothing to look at. */
  const owing = new Set<Watched>();
  const owe = (one: Watched) => {
    one.silentMs ??= 0;
    owing.add(one);
    looking ??= setInterval(look, LOOK_MS).unref();
  };
  const settle = (one: Watched) => {
    one.silentMs = undefined;
    owing.delete(one);
    if (owing.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  };
  const watch = (socket: Socket) => {
    // While it connects, an answer is owed too.
    const one: Watched = { socket, silentMs: undefined, tail: Buffer.alloc(0) };
    // A driver that gives up lets go of its socket, whose failure would then end the process.
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      const tail = bytes.length < READY_BYTES ? Buffer.concat([one.tail, bytes]) : bytes;
      // A copy, since a part of a buffer keeps all of it.
      one.tail = Buffer.from(tail.subarray(-READY_BYTES));
      if (one.silentMs === undefined) return;
      one.silentMs = 0;
      if (one.tail.subarray(0, READY.length).equals(READY)) settle(one);
    });
    socket.once("close", () => {
      watched.delete(one);
      settle(one);
    });
    watched.add(one);
    owe(one);
    return one;
  };

  return {
    drop,
    async open() {
      const tls = tlsOptions(to);
      if (tls === undefined) {
        const one = watch(new Socket());
        // Not before the driver listens: a failure may come within this turn, and nobody would hear it. Nor after the
        // driver has given the socket up, which would bring it back to life with nobody to look after it.
        setImmediate(() => {
          if (!one.socket.destroyed) noteWrites(dial(one.socket, to), () => owe(one));
        });
        return one.socket;
      }
      const socket = dial(new Socket(), to);
      try {
        const one = watch(await secure(socket, to, tls, limits.connectTimeoutMs));
        noteWrites(one.socket, () => owe(one));
        return one.socket;
      } catch (error) {
        socket.destroy();
        return failing(error as Error);
      }
    },
  };
}

/** Once it connects, since a socket that begins to connect takes its own `write` back. */
function noteWrites(socket: Socket, note: () => void): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: unknown[]) => {
    note();
    return write(...args);
  };
}

function dial(socket: Socket, { host, port }: DatabaseAddress): Socket {
  // By which the driver names it in its errors.
  Object.assign(socket, { host, port });
  const isKeptAlive = true;
  socket.once("connect", () => socket.setKeepAlive(isKeptAlive, KEEP_ALIVE_MS));
  if (host.startsWith("/")) return socket.connect(`${host}/.s.PGSQL.${port}`);
  return socket.connect(port, host);
}

/** A socket that fails as soon as somebody listens. */
function failing(error: Error): Socket {
  const socket = new Socket();
  socket.write = () => true;
  socket.on("error", () => {});
  setImmediate(() => socket.destroy(error));
  return socket;
}

function silence(ms: number): Error {
  return Object.assign(new Error(`nothing was heard for ${ms} ms`), { code: "ETIMEDOUT" });
}

interface Tls {
  isRequired: boolean;
  options: object;
}

function tlsOptions(to: DatabaseAddress): Tls | undefined {
  if (to.host.startsWith("/") || to.sslMode === "disable" || to.sslMode === "allow") {
    return undefined;
  }
  if (to.sslMode === "prefer") return { isRequired: false, options: { rejectUnauthorized: false } };
  // As in PostgreSQL's own client, `require` with a root certificate verifies its signature.
  const isVerified = to.sslMode.startsWith("verify") || to.sslRootCertificate !== undefined;
  return {
    isRequired: true,
    options: {
      rejectUnauthorized: isVerified,
      ca: to.sslRootCertificate,
      cert: to.sslCertificate,
      key: to.sslKey,
      ...(to.sslMode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    },
  };
}

/** Agrees on TLS as the protocol says (PostgreSQL 18, §54.2.11). */
async function secure(
  socket: Socket,
  { host }: DatabaseAddress,
  tls: Tls,
  timeoutMs: number,
): Promise<Socket> {
  const failed = Promise.withResolvers<never>();
  // Whoever still waits gets the error; afterwards nobody does.
  failed.promise.catch(() => {});
  const timer = setTimeout(() => failed.reject(silence(timeoutMs)), timeoutMs);
  socket.on("error", failed.reject);
  socket.once("close", () => failed.reject(closed()));
  try {
    socket.write(SSL_REQUEST);
    const answer = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    const isWilling = (await Promise.race([answer, failed.promise]))[0] === SSL_WILLING;
    if (!isWilling && tls.isRequired) throw new Error("the server speaks no TLS");
    if (!isWilling) return socket;
    const secured: TLSSocket = connectTls({
      socket,
      servername: isIP(host) === 0 ? host : undefined,
      ...tls.options,
    });
    secured.on("error", failed.reject);
    const agreed = new Promise<void>((resolve) => secured.once("secureConnect", resolve));
    await Promise.race([agreed, failed.promise]);
    return secured;
  } finally {
    clearTimeout(timer);
  }
}

function closed(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" });
}

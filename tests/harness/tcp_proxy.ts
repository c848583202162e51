/** Stands between a client and a server, and does to their connections what networks do. */

import { connect, createServer, type Socket } from "node:net";

/** A port of 127.0.0.1, or the path of a Unix socket. */
export type Upstream = number | string;

/** What clients send goes up, what servers send goes down. */
export type Direction = "up" | "down";

/** How one direction is slowed. */
export interface Pace {
  delayMs?: number;
  bytesPerSecond?: number;
}

export interface TcpProxy extends AsyncDisposable {
  port: number;
  /** Clients that are connected now. */
  readonly connections: number;
  /** From now on nothing is carried in either direction, and nothing is closed: half-open connections. */
  freeze(): void;
  /** From now on what one side sends is lost, the clients' unless given; what the other sends still arrives. */
  mute(direction?: Direction): void;
  /** From now on bytes of a direction arrive later, or a few at a time. */
  slow(direction: Direction, pace: Pace): void;
  /** Resets all connections. */
  cut(): void;
  /** From now on new connections are closed at once. */
  refuse(): void;
  /** True once bytes have been dropped on a connection that is still open. */
  hasLost(): boolean;
  /** Carries everything again. Connections that lost bytes are reset, as nothing could mend them. */
  heal(): void;
}

export interface TcpProxyOptions {
  /** Where it listens, if that matters. */
  port?: number;
  /** Changes what servers send, for each connection anew. */
  filterDown?: () => (bytes: Buffer) => Buffer;
}

interface Link {
  client: Socket;
  upstream: Socket;
  hasLost: boolean;
}

interface Condition {
  isFrozen: boolean;
  isRefusing: boolean;
  muted: Set<Direction>;
  paces: Map<Direction, Pace>;
}

/** What may wait in a slow direction; beyond that its sender waits. */
const WAITING_BYTES_MAX = 64 * 1024;

/** Carries each connection to the next of the upstreams, in turn. */
export async function startTcpProxy(
  to: Upstream | readonly Upstream[],
  options: TcpProxyOptions = {},
): Promise<TcpProxy> {
  const upstreams = typeof to === "object" ? to : [to];
  const links = new Set<Link>();
  const state: Condition = {
    isFrozen: false,
    isRefusing: false,
    muted: new Set(),
    paces: new Map(),
  };
  let turn = 0;
  const server = createServer((client) => {
    if (state.isRefusing) {
      client.on("error", () => {});
      client.destroy();
      return;
    }
    const target = upstreams[turn++ % upstreams.length] ?? 0;
    const upstream = typeof target === "string" ? connect(target) : connect(target, "127.0.0.1");
    const link = { client, upstream, hasLost: false };
    links.add(link);
    carry(link, "up", state, (bytes) => bytes);
    carry(link, "down", state, options.filterDown?.() ?? ((bytes) => bytes));
    for (const socket of [client, upstream]) {
      socket.on("close", () => {
        if (!state.isFrozen) endLink(link);
        if (client.destroyed && upstream.destroyed) links.delete(link);
      });
      // The other side learns of it by the close that follows.
      socket.on("error", () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    get connections() {
      return [...links].filter(({ client }) => !client.destroyed).length;
    },
    freeze: () => void (state.isFrozen = true),
    mute: (direction = "up") => void state.muted.add(direction),
    slow: (direction, pace) => void state.paces.set(direction, pace),
    cut: () => links.forEach(endLink),
    refuse: () => void (state.isRefusing = true),
    hasLost: () => [...links].some((link) => link.hasLost),
    heal() {
      state.isFrozen = false;
      state.isRefusing = false;
      state.muted.clear();
      state.paces.clear();
      for (const link of links) if (link.hasLost || isHalf(link)) endLink(link);
    },
    async [Symbol.asyncDispose]() {
      links.forEach(endLink);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function carry(
  link: Link,
  direction: Direction,
  state: Condition,
  filter: (bytes: Buffer) => Buffer,
): void {
  const [from, to] = direction === "up"
    ? [link.client, link.upstream]
    : [link.upstream, link.client];
  let arrivesAt = 0;
  let waiting = 0;
  from.on("data", (bytes: Buffer) => {
    if (state.isFrozen || state.muted.has(direction)) {
      link.hasLost = true;
      return;
    }
    const kept = filter(bytes);
    const { delayMs = 0, bytesPerSecond = Infinity } = state.paces.get(direction) ?? {};
    const now = performance.now();
    // Never before what came before it.
    arrivesAt = Math.max(arrivesAt, now + delayMs) + kept.length / bytesPerSecond * 1000;
    if (arrivesAt <= now + 1 && waiting === 0) return void to.write(kept);
    waiting += kept.length;
    if (waiting > WAITING_BYTES_MAX) from.pause();
    setTimeout(() => {
      waiting -= kept.length;
      if (waiting <= WAITING_BYTES_MAX) from.resume();
      if (state.isFrozen || state.muted.has(direction)) link.hasLost = true;
      else if (!to.destroyed) to.write(kept);
    }, arrivesAt - now);
  });
}

function isHalf({ client, upstream }: Link): boolean {
  return client.destroyed || upstream.destroyed;
}

function endLink({ client, upstream }: Link): void {
  client.destroy();
  upstream.destroy();
}

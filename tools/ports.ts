/** TCP ports of this machine's own address. */

import { connect } from "node:net";

/** Below those that Linux gives to whoever asks for any: between our look and its use none of them takes ours. */
const [FIRST, LAST] = [20_000, 32_767];
const ATTEMPTS_MAX = 100;

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export function freePort(): number {
  for (let attempt = 1;; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop();
      return port;
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** Whether somebody listens on it. */
export function accepts(port: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.once("connect", () => {
    socket.destroy();
    resolve();
  });
  socket.once("error", reject);
  return promise.then(() => true, () => false);
}

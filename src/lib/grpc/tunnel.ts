/** A way through an HTTP proxy: asks it by CONNECT, and hands out the connection once that is the server's. */

import net, { type Socket } from "node:net";
import { describeError, MaestroError } from "../errors.ts";
import type { Proxy } from "./proxy.ts";

const HEADERS_BYTES_MAX = 16 * 1024;
/** What of a proxy's reason is told. */
const REASON_LENGTH_MAX = 200;

/**
 * Opens a tunnel to `authority`, a `host:port`. What the server said already is what is read first. Throws `unavailable` with
 * the proxy's name and its answer.
 */
export async function openTunnel(
  proxy: Proxy,
  authority: string,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<Socket> {
  const { host, port, authorization } = proxy;
  const socket = net.connect({ host, port, noDelay: true });
  const answered = Promise.withResolvers<Buffer>();
  const fail = (reason: string) => answered.reject(refusal(proxy, authority, reason));
  const onAbort = () => fail("the agent is stopping");
  const deadline = setTimeout(() => fail(`no answer within ${timeoutMs / 1_000} s`), timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  const onClose = () => fail("it closed the connection without an answer");
  // It stays: whoever gets the connection may listen for its end alone.
  socket.on("error", (error) => fail(describeError(error)));
  socket.once("close", onClose);
  socket.once("connect", () => {
    const credentials = authorization === undefined
      ? ""
      : `Proxy-Authorization: ${authorization}\r\n`;
    socket.write(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: maestro-agent\r\n` +
        `${credentials}\r\n`,
    );
  });
  const stopReading = readAnswer(socket, (rest) => answered.resolve(rest), fail);
  try {
    if (signal?.aborted) onAbort();
    const rest = await answered.promise;
    if (rest.length > 0) socket.unshift(rest);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    stopReading();
    socket.off("close", onClose);
    clearTimeout(deadline);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** `taken` gets what follows the headers of a good answer. Returns what ends the reading. */
function readAnswer(
  socket: Socket,
  taken: (rest: Buffer) => void,
  fail: (reason: string) => void,
): () => void {
  let bytes = Buffer.alloc(0);
  // Not "data": what comes after the answer has to wait for its reader.
  const read = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    bytes = Buffer.concat([bytes, chunk]);
    const text = bytes.subarray(0, HEADERS_BYTES_MAX).toString("latin1");
    if (!"HTTP/1.".startsWith(text.slice(0, 7))) return fail("its answer is not HTTP");
    const end = /\r?\n\r?\n/.exec(text);
    if (end === null) {
      if (bytes.length >= HEADERS_BYTES_MAX) fail("its answer is longer than 16 KB");
      return;
    }
    const [, status, reason = ""] = /^HTTP\/1\.\d (\d{3})(?: (.*))?/.exec(text) ?? [];
    if (status === undefined) return fail("its answer is not HTTP");
    if (!status.startsWith("2")) return fail(`it answered ${status} ${readable(reason)}`.trim());
    taken(bytes.subarray(end.index + end[0].length));
  };
  socket.on("readable", read);
  return () => void socket.off("readable", read);
}

function readable(reason: string): string {
  return reason.trim().slice(0, REASON_LENGTH_MAX).replace(/[^ -~]/g, "?");
}

function refusal({ name, variable }: Proxy, authority: string, reason: string): MaestroError {
  return new MaestroError(
    "unavailable",
    `No connection to ${authority} through the proxy ${name} of ${variable}: ${reason}`,
  );
}

/** The agent's listener: HTTPS with a certificate that may be replaced while it runs. */

import { createSecureContext } from "node:tls";
import { describeError, MaestroError } from "../errors.ts";
import { watchFiles } from "../fresh_files.ts";
import { type HttpServer, serveHttp } from "../http_server.ts";
import type { Logger } from "../log.ts";
import { makeSelfSigned } from "./self_signed.ts";

export interface DoorOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  /** PEM files; `"self-signed"` makes a pair in memory, `"plain"` speaks HTTP. */
  tls: { cert: string; key: string } | "self-signed" | "plain";
  /** How often the files are looked at, in milliseconds. */
  refreshMs: number;
  nowMs: () => number;
  log: Logger;
}

type Answer = (request: Request) => Response | Promise<Response>;

/** Opens the listener. Throws `invalid_argument` that names the file or the port that cannot be used. */
export async function openDoor(answer: Answer, options: DoorOptions): Promise<HttpServer> {
  const { hostname, tls, refreshMs, nowMs, log } = options;
  if (typeof tls === "string") {
    const pair = tls === "plain" ? undefined : makeSelfSigned(namesOf(hostname), nowMs());
    return listen(answer, options, pair);
  }
  // Watched first: what changes after it was read is noticed.
  let current: HttpServer | undefined;
  const files = watchFiles([tls.cert, tls.key], { intervalMs: refreshMs, log }, async () => {
    const pair = await readPair(tls);
    const port = current?.port ?? options.port;
    // The listener takes no other certificate, so another one takes its port. Answers under way end on the old one.
    const closed = current?.[Symbol.asyncDispose]();
    current = listen(answer, { ...options, port }, pair);
    await closed;
    log.info("a new certificate is in use", { file: tls.cert });
  });
  try {
    current = listen(answer, options, await readPair(tls));
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
  return {
    port: current.port,
    async [Symbol.asyncDispose]() {
      await files[Symbol.asyncDispose]();
      await current?.[Symbol.asyncDispose]();
    },
  };
}

/** True if only this machine reaches the address. */
export function isLoopback(hostname: string): boolean {
  return /^(127(\.\d{1,3}){3}|::1|localhost)$/.test(hostname);
}

function listen(
  answer: Answer,
  { hostname, port }: { hostname: string; port: number },
  tls: { cert: string; key: string } | undefined,
): HttpServer {
  try {
    return serveHttp(answer, { hostname, port, tls });
  } catch (cause) {
    const text = `Cannot listen on "${hostname}:${port}": ${describeError(cause)}`;
    throw new MaestroError("unavailable", text, { cause });
  }
}

function namesOf(hostname: string): string[] {
  return [...new Set(["maestro-agent", "localhost", "127.0.0.1", hostname])]
    .filter((name) => name !== "0.0.0.0" && !name.includes(":"));
}

async function readPair(
  { cert, key }: { cert: string; key: string },
): Promise<{ cert: string; key: string }> {
  const pair = { cert: await readText(cert), key: await readText(key) };
  try {
    createSecureContext(pair);
  } catch (cause) {
    const text = `Cannot use "${cert}" with the key "${key}": ${describeError(cause)}`;
    throw new MaestroError("invalid_argument", text, { cause });
  }
  return pair;
}

async function readText(path: string): Promise<string> {
  try {
    return await Bun.file(path).text();
  } catch (cause) {
    throw new MaestroError("invalid_argument", `Cannot read "${path}": ${describeError(cause)}`);
  }
}

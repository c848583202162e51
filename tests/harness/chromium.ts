/** A real browser without a window, driven by the DevTools protocol. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";

export interface Page {
  /** The value of an expression in the page. */
  evaluate(expression: string): Promise<unknown>;
  /** What can be read on the page. */
  text(): Promise<string>;
  close(): Promise<void>;
}

export interface Chromium extends AsyncDisposable {
  /** Opens a page; it may still be loading. */
  open(url: string): Promise<Page>;
}

const START_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 5_000;

const FLAGS = [
  ...["--headless", "--remote-debugging-port=0", "--disable-gpu", "--disable-dev-shm-usage"],
  // It asks nobody but the servers of the test.
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  ...["--disable-quic", "--no-first-run", "--disable-extensions"],
];

/** Starts Chromium with a profile of its own. It ends with the test, however that ends. */
export async function startChromium(): Promise<Chromium> {
  const program = Bun.which("chromium") ?? Bun.which("chromium-browser");
  if (program === null) {
    throw new Error('Cannot find "chromium": install it (Debian: apt-get install chromium)');
  }
  const profile = mkdtempSync(join(tmpdir(), "maestro-chromium-"));
  // Its sandbox does not start for root.
  const isRoot = process.getuid?.() === 0;
  const flags = [...FLAGS, ...(isRoot ? ["--no-sandbox"] : []), `--user-data-dir=${profile}`];
  // The shell ends the browser when the kernel closes its pipe.
  const shell = '"$0" "$@" & (cat; kill "$!") 2>/dev/null; wait';
  const child = Bun.spawn(["/bin/sh", "-c", shell, program, ...flags], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
    detached: true,
    // What it leaves behind goes with its profile.
    env: { ...process.env, TMPDIR: profile },
  });
  let log = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) log += decoder.decode(chunk, { stream: true });
  };
  // A stream that breaks ends the log.
  read().catch(() => {});
  const end = async () => {
    const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), END_TIMEOUT_MS);
    await child.stdin.end();
    await child.exited;
    clearTimeout(timer);
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  try {
    const address = await eventually(
      () => /DevTools listening on (ws:\S+)/.exec(log)?.[1] ?? "",
      Boolean,
      { timeoutMs: START_TIMEOUT_MS },
    ).catch((cause) => {
      throw new Error(`Chromium does not start; it says\n${log}`, { cause });
    });
    const { send, close } = await connectDevTools(address);
    return {
      open: (url) => openPage(send, url),
      async [Symbol.asyncDispose]() {
        // So that all of its processes are gone with it.
        await send("Browser.close", {});
        close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

// deno-lint-ignore no-explicit-any
type Send = (method: string, parameters: object, sessionId?: string) => Promise<any>;

async function connectDevTools(address: string): Promise<{ send: Send; close: () => void }> {
  const socket = new WebSocket(address);
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(String(data));
    const call = pending.get(id);
    pending.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(`Chromium refuses: ${error.message}`));
  });
  const send: Send = async (method, parameters, sessionId) => {
    const id = ++last;
    const call = Promise.withResolvers<unknown>();
    pending.set(id, call);
    socket.send(JSON.stringify({ id, method, params: parameters, sessionId }));
    const timer = setTimeout(() => {
      call.reject(new Error(`Chromium does not answer ${method}`));
    }, COMMAND_TIMEOUT_MS);
    try {
      return await call.promise;
    } finally {
      clearTimeout(timer);
    }
  };
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", () => reject(new Error(`Cannot connect to ${address}`)));
  });
  return { send, close: () => socket.close() };
}

async function openPage(send: Send, url: string): Promise<Page> {
  const { targetId } = await send("Target.createTarget", { url });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const evaluate: Page["evaluate"] = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", {
      ...{ expression, awaitPromise: true, returnByValue: true },
    }, sessionId);
    if (exceptionDetails === undefined) return result.value;
    throw new Error(`The page throws: ${exceptionDetails.exception?.description}`);
  };
  return {
    evaluate,
    text: async () => String(await evaluate("document.body.innerText")),
    close: async () => void await send("Target.closeTarget", { targetId }),
  };
}

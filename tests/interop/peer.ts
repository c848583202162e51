/** The program that plays the official Go clients: each of its tests is a test here. */

import { test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildInterop, hasInterop } from "../../tools/interop.ts";

/** How an agent and its source reach each other. */
export type Transport = "grpc" | "mqtt";

/** What a peer's test needs of our side. */
export interface OurSide extends AsyncDisposable {
  /** Settings for the peer, without their prefix. */
  settings: Record<string, string>;
  /** What a test may ask to be done to our side, by the words it uses. */
  deeds: Record<string, () => Promise<void>>;
  /** What our programs logged. */
  log(): string;
}

const TIMEOUT_S = 120;
/** A peer's time, and the time to start and stop our side. */
const TEST_TIMEOUT_MS = (TIMEOUT_S + 60) * 1000;
const SHOWN_LINES_MAX = 60;
/** Without Go the tests are skipped, but in CI they fail and say so. */
const testOrSkip = test.skipIf(!hasInterop() && process.env.CI !== "true");

/** Runs the named tests of the peers as sentences, over each of their transports. */
export function testPeers(
  start: (transport: Transport) => Promise<OurSide>,
  tests: Record<string, [sentence: string, ...transports: Transport[]]>,
): void {
  for (const [name, [sentence, ...transports]] of Object.entries(tests)) {
    for (const transport of transports) {
      testOrSkip(`${sentence} (${transport})`, async () => {
        await using ours = await start(transport);

        await runPeer(name, ours);
      }, TEST_TIMEOUT_MS);
    }
  }
}

/** Runs a test to its end. Throws with what it said, and what our side logged, if it fails. */
async function runPeer(test: string, ours: OurSide): Promise<void> {
  await using stack = new AsyncDisposableStack();
  // Where the libraries keep what they have discovered.
  const home = mkdtempSync(join(tmpdir(), "maestro-peer-"));
  stack.defer(() => rmSync(home, { recursive: true, force: true }));
  const settings = Object.entries(ours.settings).map(([name, value]) => [`INTEROP_${name}`, value]);
  const child = Bun.spawn(
    [buildInterop(), "-test.run", `^${test}$`, "-test.v", "-test.timeout", `${TIMEOUT_S}s`],
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: {
        PATH: process.env.PATH,
        HOME: home,
        CERT_CALLBACK_REFRESH_DURATION: "1s",
        ...Object.fromEntries(settings),
      },
    },
  );
  const complaints = new Response(child.stderr).text();
  let said = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    const text = decoder.decode(chunk, { stream: true });
    said += text;
    rest += text;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((line) => line.startsWith("ask: "))) {
      await child.stdin.write(`${await perform(line.slice("ask: ".length), ours)}\n`);
      await child.stdin.flush();
    }
  }
  const exitCode = await child.exited;
  if (exitCode === 0 && said.includes(`--- PASS: ${test} `)) return;
  throw new Error(
    `${test} ended with ${exitCode}: ${said}\n` +
      `the libraries:\n${tail(await complaints)}\nour side:\n${tail(ours.log())}`,
  );
}

async function perform(deed: string, ours: OurSide): Promise<string> {
  const act = ours.deeds[deed];
  if (act === undefined) return `nobody here can ${deed}`;
  try {
    await act();
    return "done";
  } catch (error) {
    return String(error).replaceAll("\n", " ");
  }
}

function tail(text: string): string {
  return text.trimEnd().split("\n").slice(-SHOWN_LINES_MAX).join("\n");
}

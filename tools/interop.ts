/** Builds the program that plays the official Go clients, once for each version of its source. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const SOURCE = join(import.meta.dir, "..", "tests", "interop");
/** From nothing two minutes on two cores, and the modules must be fetched before. */
const BUILD_TIMEOUT_MS = 15 * 60_000;

/** Where the program is, or will be: its name says what it was built from. */
export function interopProgram(): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const hash = new Bun.CryptoHasher("sha256");
  for (const name of readdirSync(SOURCE).sort()) {
    if (/\.go$|^go\.(mod|sum)$/.test(name)) {
      hash.update(name).update(readFileSync(join(SOURCE, name)));
    }
  }
  return join(cache, "maestro", `interop-${hash.digest("hex").slice(0, 12)}`);
}

/** Whether the program is there or can be built. */
export function hasInterop(): boolean {
  return findGo() !== null || existsSync(interopProgram());
}

/** Builds the program unless it is there, and returns its path. Throws a sentence if it cannot. */
export function buildInterop(): string {
  const program = interopProgram();
  if (existsSync(program)) return program;
  const go = findGo();
  if (go === null) {
    throw new Error(
      "Cannot build the program that plays the official Go clients: Go is missing; install Go 1.21 or newer",
    );
  }
  mkdirSync(join(program, ".."), { recursive: true });
  // It gets its name when it is complete, so that of two that build at once each finds a whole one.
  const partial = `${program}.${process.pid}`;
  const build = Bun.spawnSync(
    [go, "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", partial, "."],
    {
      cwd: SOURCE,
      // The caller's settings are for the caller's modules.
      env: {
        ...process.env,
        GOWORK: "off",
        GOFLAGS: "-mod=readonly",
        GOTOOLCHAIN: "auto",
        CGO_ENABLED: "0",
      },
      stdin: "ignore",
      timeout: BUILD_TIMEOUT_MS,
    },
  );
  if (build.exitCode !== 0) {
    throw new Error(`Cannot build tests/interop: ${build.stdout}${build.stderr}`);
  }
  renameSync(partial, program);
  return program;
}

/** Go is often unpacked there without being on the PATH. */
function findGo(): string | null {
  return Bun.which("go", { PATH: `${process.env["PATH"]}:/usr/local/go/bin` });
}

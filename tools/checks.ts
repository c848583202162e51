/** What the gate checks before any test runs, and how it runs the tests. */

import { countTests, type Step } from "./step.ts";

const BIN = "node_modules/.bin";
const MINUTE_MS = 60_000;

/** Format, lint, types and floating promises: seconds each, no server needed. */
export function sourceChecks(): Step[] {
  return [
    { name: "format", command: [`${BIN}/deno`, "fmt", "--check"], timeoutMs: 2 * MINUTE_MS },
    { name: "lint", command: [`${BIN}/deno`, "lint"], timeoutMs: 2 * MINUTE_MS },
    { name: "types", command: [process.execPath, "check"], timeoutMs: 5 * MINUTE_MS },
    {
      name: "floating promises",
      command: [`${BIN}/oxlint`, "--type-aware", "--deny-warnings"],
      timeoutMs: 5 * MINUTE_MS,
    },
  ];
}

/** Generated files are what their sources say, and the executables compile. */
export function artefactChecks(): Step[] {
  return [
    {
      name: "generated files",
      command: [process.execPath, "tools/generate.ts", "--check"],
      timeoutMs: 5 * MINUTE_MS,
    },
    {
      name: "executables",
      command: [process.execPath, "tools/build.ts"],
      timeoutMs: 5 * MINUTE_MS,
    },
  ];
}

/** The folders that take minutes: they begin first, so that none of them is alone in the end. */
const LONG = ["tests/work", "tests/grpc", "tests/interop"];

/** The order of the others under tests/: what needs least comes first, whole programs come last. */
const FOLDERS = [
  "tests",
  "tests/lib",
  "tests/wire",
  "tests/search",
  "tests/tools",
  "tests/db",
  "tests/consumer",
  "tests/spec",
  "tests/status",
  "tests/access",
  "tests/rest",
  "tests/mqtt",
  "tests/cli",
  "tests/ops",
  "tests/kube",
];

/** A step per folder of tests; with paths, only the files that lie below one of them. */
export function testSteps(paths: readonly string[]): Step[] {
  const folders = new Map<string, string[]>();
  for (const file of [...new Bun.Glob("tests/**/*.test.ts").scanSync(".")].sort()) {
    if (paths.length > 0 && !paths.some((path) => isBelow(file, path))) continue;
    const folder = file.split("/").slice(0, file.split("/").length > 2 ? 2 : 1).join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders]
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([folder, files]) => testStep(folder, files));
}

function testStep(name: string, files: readonly string[]): Step {
  return {
    name,
    command: [
      process.execPath,
      "test",
      "--randomize",
      // The default of five seconds is short for a server that starts on a busy machine.
      "--timeout",
      "60000",
      ...files.map((file) => `./${file}`),
    ],
    timeoutMs: 15 * MINUTE_MS,
    count: countTests,
  };
}

function rank(folder: string): number {
  if (LONG.includes(folder)) return LONG.indexOf(folder) - LONG.length;
  if (folder === "tests/e2e") return FOLDERS.length + 2;
  if (folder === "tests/faults") return FOLDERS.length + 3;
  const index = FOLDERS.indexOf(folder);
  return index === -1 ? FOLDERS.length : index;
}

function isBelow(file: string, path: string): boolean {
  const clean = path.replace(/^\.\//, "").replace(/\/$/, "");
  return file === clean || file.startsWith(`${clean}/`) || file === `${clean}.test.ts`;
}

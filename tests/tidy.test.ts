/** The house rules of the source. Each message says what to do; the rules for Markdown are in tidy_docs. */

import { expect, test } from "bun:test";
import { dependencies } from "../package.json";
import {
  listPaths,
  reach,
  readSource,
  readTexts,
  road,
  type SourceFile,
  words,
} from "./harness/tree.ts";

const LINES_MAX = 400;
const ENTRIES = ["src/server.ts", "src/agent.ts", "src/maestro.ts"];
const ENTRY_LINES_MAX: Record<string, number> = {
  "src/server.ts": 150,
  "src/agent.ts": 150,
  "src/maestro.ts": 80,
};

/** From the ground up; a value may be imported from a lower layer, or from the same folder. */
const FLOWS = ["consumer", "spec", "status", "access", "work"];
const EDGES = ["rest", "grpc", "mqtt", "cli", "kube", "ops"];
/** Pure, as `wire` is. */
const PURE = ["search"];
/** What carries bytes for the doors, and knows nothing of what they mean. */
const CARRIERS = ["http2"];
const LAYERS = ["ground", "wire", "db", "flow", "edge", "entry"];

/** Who may import a package. Whoever is not named goes through those who are. */
const DOORS: Record<string, readonly string[]> = {
  "postgres": ["src/lib/db/", "tools/", "tests/harness/", "bench/"],
  "hono": ["src/lib/rest/"],
  "@grpc/grpc-js": ["tests/", "bench/", "tools/"],
  "@grpc/proto-loader": ["tests/"],
  "@bufbuild/protobuf": [
    "src/lib/grpc/",
    "src/lib/rest/connect/",
    "src/lib/wire/",
    "src/gen/",
    "tests/",
    "bench/",
  ],
  "@connectrpc/connect": ["src/lib/rest/connect/", "tests/"],
  "jose": ["src/lib/access/", "tests/"],
  "prom-client": ["src/lib/metrics.ts", "src/lib/ops/"],
  "valibot": ["src/", "tests/", "tools/"],
  "js-yaml": ["src/lib/yaml.ts"],
  "yaml": [
    "src/lib/access/",
    "src/lib/cli/",
    "src/lib/kube/",
    "src/lib/config/",
    "tests/",
    "tools/",
  ],
  "mqtt": ["src/lib/mqtt/"],
  // Faults of Bun's are why we have our own: docs/decisions/0050.
  "node:http2": ["tests/"],
  "mqtt-packet": ["src/lib/mqtt/", "bench/load/", "tests/mqtt/"],
};

/** Files below src/lib that may look at the process itself, each with its reason. */
const MAY_READ_PROCESS: Record<string, string> = {
  "src/lib/db/embedded_account.ts":
    "asks whether we are root, under which PostgreSQL does not start",
  "src/lib/db/embedded_state.ts": "writes our process id into the state folder's lock",
};

const BANNED_WORDS = new Set(
  "data info manager service helper util common misc process handle impl do".split(" "),
);
/** Names that have such a word all the same, each with its reason. */
const MAY_USE_WORD: Record<string, string> = {
  handleError: "the usual word for it",
  isDataType: "CloudEventsDataType is the peers' name",
  embedded_process: "it is about a process of the system",
  PostgresProcess: "the same",
  startProcess: "the same",
};

const paths = listPaths();
const texts = await readTexts(paths.filter((path) => !/\.(png|svg|ico)$/.test(path)));
const sources = new Map<string, SourceFile>();
for (const [path, text] of texts) {
  if (/\.ts$/.test(path) && !path.endsWith(".d.ts")) sources.set(path, readSource(path, text));
}
const isGenerated = (path: string) => path.startsWith("src/gen/") || path.includes(".gen.");
const written = [...sources.values()].filter((file) => !isGenerated(file.path));
const library = written.filter((file) => file.path.startsWith("src/"));

/** Fails with one line for each thing to do. */
function expectNone(problems: readonly string[]): void {
  expect(problems.toSorted().join("\n")).toBe("");
}

function layerOf(path: string): number {
  if (/^src\/[^/]+\.ts$/.test(path)) return LAYERS.indexOf("entry");
  const [, folder] = /^src\/lib\/([^/]+)\//.exec(path) ?? [];
  if (folder === undefined) return LAYERS.indexOf("ground");
  if (EDGES.includes(folder)) return LAYERS.indexOf("edge");
  if (FLOWS.includes(folder)) return LAYERS.indexOf("flow");
  if ([...PURE, ...CARRIERS].includes(folder)) return LAYERS.indexOf("wire");
  return LAYERS.indexOf(folder);
}

/** `src/lib/rest/bundle/get.ts` belongs to `rest`. */
const topOf = (path: string) => path.split("/")[2] ?? "";
const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/"));

test("every folder of the library has a place in the layers", () => {
  expectNone(
    library.filter((file) => layerOf(file.path) === -1).map((file) =>
      `${file.path}: its folder is in no layer; move it, or add the folder to FLOWS or EDGES here`
    ),
  );
});

test("values are imported downwards only", () => {
  const problems: string[] = [];
  for (const file of library) {
    for (const target of file.values.filter((path) => path.startsWith("src/"))) {
      if (isGenerated(target) || folderOf(target) === folderOf(file.path)) continue;
      const [from, to] = [layerOf(file.path), layerOf(target)];
      const isSibling = from === to &&
        (LAYERS[from] === "flow" || topOf(file.path) === topOf(target));
      if (from > to || isSibling || LAYERS[from] === "entry") continue;
      problems.push(
        `${file.path} (${LAYERS[from]}) imports ${target} (${
          LAYERS[to]
        }): take it as a parameter, ` +
          `or write "import type" if only its type is needed`,
      );
    }
  }
  expectNone(problems);
});

test("spec and status do not import each other, and edges do not import edges, not even types", () => {
  const problems: string[] = [];
  for (const file of library) {
    for (const target of file.imports.filter((path) => path.startsWith("src/lib/"))) {
      const pair = [topOf(file.path), topOf(target)];
      if (pair[0] === pair[1]) continue;
      const areEdges = pair.every((name) => EDGES.includes(name));
      const areTwins = pair.toSorted().join() === "spec,status";
      if (!areEdges && !areTwins) continue;
      problems.push(`${file.path} imports ${target}: move what both need down a layer`);
    }
  }
  expectNone(problems);
});

test("no file needs itself to be loaded first", () => {
  const problems: string[] = [];
  for (const file of library) {
    for (const target of file.values) {
      if (target === file.path || !reach([target], sources, "values").has(file.path)) continue;
      problems.push(
        `${file.path} and ${target} import each other (${road(target, file.path, sources)}): ` +
          "move what both need to a third file",
      );
    }
  }
  expectNone(problems);
});

test("what is imported only as a type says so", () => {
  const only = /import \{\s*(?:type \w+(?: as \w+)?,?\s*)+\} from "([^"]+)"/g;
  const problems = written.flatMap((file) =>
    [...file.code.matchAll(only)].map((found) =>
      `${file.path}: write "import type { … } from "${found[1]}"", it is gone when the program runs`
    )
  );
  expectNone(problems);
});

test("each package has one door", () => {
  const problems: string[] = [];
  for (const file of sources.values()) {
    for (const target of new Set(file.imports)) {
      const door = DOORS[target];
      if (door === undefined || door.some((place) => file.path.startsWith(place))) continue;
      if (target === "yaml" && /config/.test(file.path)) continue;
      problems.push(`${file.path} imports "${target}": go through ${door.join(" or ")}`);
    }
  }
  const used = new Set([...sources.values()].flatMap((file) => file.imports));
  for (const name of Object.keys(dependencies)) {
    if (DOORS[name] === undefined) problems.push(`${name}: add its door to DOORS in this file`);
    if (!used.has(name)) problems.push(`${name}: nothing imports it, remove it from package.json`);
  }
  expectNone(problems);
});

test("the agent reaches no database, no REST and no server of the other half", () => {
  const problems: string[] = [];
  for (const path of reach(["src/agent.ts"], sources, "values")) {
    const isForbidden = /^src\/lib\/(db|rest|spec|status|consumer)\//.test(path) ||
      (path.startsWith("src/lib/grpc/") && /createServer|createSecureServer/.test(text(path)));
    if (!isForbidden) continue;
    problems.push(
      `${road("src/agent.ts", path, sources)}: cut this road, the agent ships without it`,
    );
  }
  expectNone(problems);
});

test("only entry points read the process and its environment", () => {
  const reads = /\bprocess\s*[.[]|\bBun\.(env|argv)\b|import\.meta\.env|from "node:process"/;
  const problems = library
    .filter((file) => file.path.startsWith("src/lib/") && reads.test(file.code))
    .filter((file) => MAY_READ_PROCESS[file.path] === undefined)
    .map((file) => `${file.path}: take what it reads as a parameter from src/*.ts`);
  for (const path of Object.keys(MAY_READ_PROCESS)) {
    if (!reads.test(sources.get(path)?.code ?? "")) {
      problems.push(`${path}: take it out of MAY_READ_PROCESS`);
    }
  }
  expectNone(problems);
});

test("no file is longer than a reader's patience", () => {
  const problems: string[] = [];
  for (const [path, content] of texts) {
    if (!/\.(ts|sql|sh)$/.test(path) || isGenerated(path) || path === "sql/schema.sql") continue;
    const lines = content.split("\n").length - 1;
    const max = ENTRY_LINES_MAX[path] ?? LINES_MAX;
    if (lines > max) problems.push(`${path}: ${lines} lines, the limit is ${max}; split it`);
  }
  expectNone(problems);
});

test("migrations are numbered without gaps, listed, and say what they do", () => {
  const migrations = paths.filter((path) => path.startsWith("sql/migrations/"));
  const problems: string[] = [];
  migrations.forEach((path, index) => {
    const number = String(index + 1).padStart(4, "0");
    if (!new RegExp(`/${number}_[a-z_]+\\.sql$`).test(path)) {
      problems.push(`${path}: name it ${number}_<what>.sql`);
    }
    if (![...sources.values()].some((file) => file.imports.includes(path))) {
      problems.push(`${path}: run "bun run generate", no program knows it`);
    }
    if (!startsWithSentence(text(path))) {
      problems.push(`${path}: start it with "-- <A sentence>."`);
    }
  });
  expectNone(problems);
});

test("every query says what it does and is used", () => {
  const problems: string[] = [];
  for (const path of paths.filter((path) => path.startsWith("sql/queries/"))) {
    if (!startsWithSentence(text(path))) problems.push(`${path}: start it with "-- <A sentence>."`);
    const name = words(path.slice("sql/queries/".length, -".sql".length))
      .map((word, index) => index === 0 ? word : word[0]?.toUpperCase() + word.slice(1))
      .join("");
    if (!written.some((file) => mentions(file.code, name))) {
      problems.push(`${path}: nothing calls ${name}, remove the file`);
    }
  }
  expectNone(problems);
});

test("no file is dead", () => {
  const roots = [...sources.keys()].filter((path) =>
    ENTRIES.includes(path) || /^(tools|bench)\/|\.test\.ts$/.test(path)
  );
  const reached = reach(roots, sources, "imports");
  expectNone(
    [...sources.keys()].filter((path) => !reached.has(path)).map((path) =>
      `${path}: no program, test or tool imports it; use it or remove it`
    ),
  );
});

test("every export is used in another file", () => {
  const problems: string[] = [];
  for (const file of written) {
    for (const { name, kind } of file.exports) {
      // A type may be exported so that a caller can name what a function of this file takes.
      if (kind === "type" && mentions(file.code.replace(`${name}`, ""), name)) continue;
      if (written.some((other) => other !== file && mentions(other.code, name))) continue;
      problems.push(`${file.path}: no other file uses ${name}; remove "export", or all of it`);
    }
  }
  expectNone(problems);
});

test("files and exported functions say what they are for", () => {
  const problems: string[] = [];
  for (const file of written) {
    if (!/^(#!.*\n)?\/\*\* ?[\s\S]/.test(file.text) && !file.path.endsWith(".test.ts")) {
      problems.push(`${file.path}: start it with "/** <A sentence>. */"`);
    }
    if (!file.path.startsWith("src/")) continue;
    for (
      const found of file.text.matchAll(/^(.*)\nexport (?:async )?(?:function\*?|class) (\w+)/gm)
    ) {
      const [, before = "", name] = found;
      const isOverload = /^export (async )?function/.test(before);
      if (before.trimEnd().endsWith("*/") || before.startsWith("// deno-lint") || isOverload) {
        continue;
      }
      problems.push(`${file.path}: say in one sentence above ${name} what it does`);
    }
  }
  expectNone(problems);
});

test("names say what a thing is", () => {
  const problems: string[] = [];
  const isBanned = (word: string) => BANNED_WORDS.has(word) || BANNED_WORDS.has(word.slice(0, -1));
  for (const file of written) {
    const names = [file.path.split("/").at(-1)?.replace(/\..*$/, "") ?? ""];
    names.push(...file.exports.map((found) => found.name));
    for (const name of names) {
      const banned = words(name.replace(/service_?account/i, "")).find(isBanned);
      const isPeers = banned === "service" && file.path.startsWith("src/lib/grpc/");
      if (banned === undefined || isPeers || name in MAY_USE_WORD) continue;
      problems.push(`${file.path}: "${name}" has the word "${banned}"; say what it is or does`);
    }
  }
  for (const path of paths.filter((path) => /^(src|tests|tools|bench|sql)\//.test(path))) {
    const name = path.split("/").at(-1) ?? "";
    if (/\.(ts|sql)$/.test(name) && !/^[a-z0-9_]+(\.(test|gen|d))?\.(ts|sql)$/.test(name)) {
      problems.push(`${path}: name it in snake_case`);
    }
  }
  expectNone(problems);
});

test("nothing names a machine's folders or a registry's host", () => {
  const folders = /(?:^|[\s"'`(=:])\/(?:work|root)\/\w/m;
  const hosts =
    /registry\.npmjs|proxy\.golang|sum\.golang|deb\.debian|archive\.ubuntu|pypi\.org|repo\.maven/;
  const problems: string[] = [];
  for (const [path, content] of texts) {
    const found = folders.exec(content) ?? hosts.exec(content);
    if (found === null) continue;
    problems.push(`${path}: "${found[0].trim()}" is true on one machine only; take it out`);
  }
  expectNone(problems);
});

function text(path: string): string {
  return texts.get(path) ?? "";
}

function mentions(code: string, name: string): boolean {
  return new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`).test(code);
}

function startsWithSentence(sql: string): boolean {
  return /^-- [A-Z][^\n]*(\n-- [^\n]+)*?\.(\n|$)/.test(sql);
}

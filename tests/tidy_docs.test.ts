/** The house rules of the documents, and that what they say of flags and commands is so. */

import { expect, test } from "bun:test";
import { dirname, join, normalize } from "node:path";
import { scripts, version } from "../package.json";
import { environmentName, type FlagTable } from "../src/lib/flags.ts";
import { listPaths, readTexts } from "./harness/tree.ts";

const LINES_MAX: Record<string, number> = {
  "README.md": 150,
  "ARCHITECTURE.md": 200,
  "CONTRIBUTING.md": 80,
};
const DECISION_LINES_MAX = 40;
const TEST_COMMAND = "npx -y bun@1.4.5 run test";

const paths = listPaths();
const documents = await readTexts(paths.filter((path) => path.endsWith(".md")));
const outsideCode = (document: string) => document.replaceAll(/^```[\s\S]*?^```/gm, "");

/** Fails with one line for each thing to do. */
function expectNone(problems: readonly string[]): void {
  expect(problems.toSorted().join("\n")).toBe("");
}

test("every document has one title", () => {
  const problems: string[] = [];
  for (const [path, document] of documents) {
    const titles = outsideCode(document).match(/^# .+$/gm) ?? [];
    if (titles.length !== 1 || !document.startsWith("# ")) {
      problems.push(`${path}: give it one "# Title", in its first line`);
    }
  }
  expectNone(problems);
});

test("every relative link leads somewhere", () => {
  const problems: string[] = [];
  for (const [path, document] of documents) {
    for (const [, target = ""] of outsideCode(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const found = file === "" ? path : normalize(join(dirname(path), file)).replace(/\/$/, "");
      const isFolder = paths.some((known) => known.startsWith(`${found}/`));
      if (!paths.includes(found) && !isFolder) {
        problems.push(`${path}: "${target}" leads nowhere; correct or remove the link`);
      } else if (anchor !== undefined && !anchors(documents.get(found) ?? "").includes(anchor)) {
        problems.push(`${path}: "${target}" names no heading of ${found}`);
      }
    }
  }
  expectNone(problems);
});

test("documents keep to their length", () => {
  const problems: string[] = [];
  for (const [path, document] of documents) {
    const isDecision = path.startsWith("docs/decisions/");
    const max = isDecision ? DECISION_LINES_MAX : LINES_MAX[path] ?? Infinity;
    const lines = document.split("\n").length - 1;
    if (lines > max) problems.push(`${path}: ${lines} lines, the limit is ${max}; say less`);
  }
  expectNone(problems);
});

test("decisions are numbered without gaps and say context, decision and consequences", () => {
  const problems: string[] = [];
  const decisions = paths.filter((path) => /^docs\/decisions\/\d/.test(path));
  decisions.forEach((path, index) => {
    const number = String(index + 1).padStart(4, "0");
    if (!new RegExp(`/${number}-[a-z0-9-]+\\.md$`).test(path)) {
      problems.push(`${path}: name it ${number}-<title>.md`);
    }
    for (const heading of ["Context", "Decision", "Consequences"]) {
      if (documents.get(path)?.includes(`\n## ${heading}\n`)) continue;
      problems.push(`${path}: add "## ${heading}"`);
    }
  });
  expectNone(problems);
});

test("the changelog has the version of package.json, with upgrade notes", () => {
  const changelog = documents.get("CHANGELOG.md") ?? "";
  const [, entry = ""] = changelog.split(`\n## ${version}`);
  expectNone([
    ...(entry === "" ? [`CHANGELOG.md: add "## ${version}", the version in package.json`] : []),
    ...(/\n### Upgrade notes\n/.test(entry.split("\n## ")[0] ?? "")
      ? []
      : [`CHANGELOG.md: ${version} needs "### Upgrade notes", "none" if there are none`]),
  ]);
});

test("every flag is in the README's table or in a page that the README links to", async () => {
  const known = new Map<string, FlagTable[string]>();
  for (const path of paths.filter((path) => /^src\/lib\/.*config[^/]*\.ts$/.test(path))) {
    const exports: Record<string, unknown> = await import(`../${path}`);
    for (const table of Object.values(exports).filter(isFlagTable)) {
      for (const [name, flag] of Object.entries(table)) known.set(name, flag);
    }
  }
  const readme = documents.get("README.md") ?? "";
  const linked = [...readme.matchAll(/\]\((docs\/[^)#\s]+\.md)/g)].map(([, path = ""]) => path);
  const pages = [readme, ...linked.map((path) => documents.get(path) ?? "")].join("\n");
  const rows = pages.split("\n").filter((line) => line.startsWith("|"));

  const problems: string[] = [];
  for (const [name, flag] of known) {
    const row = rows.find((row) => row.includes(`\`--${name}\``));
    if (row === undefined) problems.push(`README.md, Configure: add ${describeRow(name, flag)}`);
    else if (!row.includes(environmentName(name)) || !row.includes(shown(flag))) {
      problems.push(`README.md, Configure: correct --${name} to ${describeRow(name, flag)}`);
    }
  }
  for (const row of rows) {
    const [, name = ""] = /^\| *`--([a-z-]+)`/.exec(row) ?? [];
    if (name !== "" && row.includes("MAESTRO_") && !known.has(name)) {
      problems.push(`README.md, Configure: no program has --${name}; remove the row`);
    }
  }
  expectNone(problems);
});

test("the commands that the documents show exist", () => {
  const problems: string[] = [];
  for (const [path, document] of documents) {
    for (const [, name = ""] of document.matchAll(/\bbun(?:@[\d.]+)? run ([a-z][a-z:]*)/g)) {
      if (name in scripts) continue;
      problems.push(`${path}: package.json has no script "${name}"`);
    }
  }
  for (const [name, command] of Object.entries(scripts)) {
    for (const [file] of command.matchAll(/\b(?:src|tools|kube)\/[\w./-]+/g)) {
      if (!paths.includes(file)) {
        problems.push(`package.json: ${name} runs ${file}, which is absent`);
      }
    }
  }
  expectNone(problems);
});

test("the README, the contributor's guide and CI name the same test command", async () => {
  for (const path of ["README.md", "CONTRIBUTING.md", ".ci/run"]) {
    expect(`${path}: ${await Bun.file(path).text()}`).toContain(TEST_COMMAND);
  }
});

/** The anchors of a document's headings, as the forges make them. */
function anchors(document: string): string[] {
  return [...outsideCode(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
  );
}

function isFlagTable(value: unknown): value is FlagTable {
  if (typeof value !== "object" || value === null) return false;
  const flags = Object.values(value);
  return flags.length > 0 &&
    flags.every((flag) =>
      typeof flag === "object" && flag !== null && "meaning" in flag && "parse" in flag
    );
}

// A bar would end the table's cell.
function shown(flag: FlagTable[string]): string {
  return flag.shown === "" ? "" : flag.shown.replaceAll("|", "\\|");
}

function describeRow(name: string, flag: FlagTable[string]): string {
  const fallback = flag.shown === "" ? "" : `\`${shown(flag)}\``;
  return `| \`--${name}\` | \`${environmentName(name)}\` | ${fallback} | ${flag.meaning} |`;
}

/**
 * Writes docs/agent-checklist.md: what an agent must do, and which tests show it. Their titles begin with the number of
 * the item.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const PATH = "docs/agent-checklist.md";
/** A number, a sentence, and perhaps why nothing here can show it. */
const ITEM = /^(\d+) (.*?)(?: \[(.*)\])?$/;
/** A title of a test, wherever it is written: `"A24, A25: an object of two works …"`. */
const TITLE = /["`](A\d+(?:, A\d+)*): ((?:[^"`\\]|\\.)+)["`]/g;

const INTRODUCTION = `# What an agent must do

The items by which the Go agent is tested (the integration and end-to-end tests of Open Cluster Management, of its
SDK and of Maestro), in our words, and the tests that show the same of ours. The title of a test that shows item 24
begins with \`A24:\`; this list is generated from such titles.
`;

/** Writes the document below `out` and returns its path. Throws for a title whose number no item has. */
export function checklist(root: string, out: string): string[] {
  const titles = readTitles(root);
  const items = readFileSync(join(root, "tools", "checklist.txt"), "utf8").trimEnd().split("\n");
  const parts = items.map((line) => {
    const [, number = "", item = "", elsewhere] = ITEM.exec(line) ?? [];
    const found = titles.get(Number(number)) ?? [];
    titles.delete(Number(number));
    const shown = [...found, ...(elsewhere === undefined ? [] : [elsewhere])];
    return [`- **${number}** ${item}`, ...shown.map((each) => `  - ${each}`)].join("\n");
  });
  const [unknown] = titles.keys();
  if (unknown !== undefined) throw new Error(`tools/checklist.txt has no item ${unknown}`);
  const path = join(out, PATH);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, format(root, `${INTRODUCTION}\n${parts.join("\n")}\n`));
  return [PATH];
}

function readTitles(root: string): Map<number, string[]> {
  const titles = new Map<number, string[]>();
  for (const path of [...new Bun.Glob("tests/**/*.ts").scanSync(root)].sort()) {
    const text = readFileSync(join(root, path), "utf8");
    for (const [, numbers = "", sentence = ""] of text.matchAll(TITLE)) {
      const shown = `${sentence.replaceAll(/\\(["`])/g, "$1")} (\`${
        path.slice("tests/".length)
      }\`)`;
      for (const number of numbers.split(", ").map((each) => Number(each.slice(1)))) {
        titles.set(number, [...titles.get(number) ?? [], shown]);
      }
    }
  }
  return titles;
}

function format(root: string, text: string): string {
  const command = ["node_modules/.bin/deno", "fmt", "--ext", "md", "-"];
  const run = Bun.spawnSync(command, { cwd: root, stdin: Buffer.from(text) });
  if (run.exitCode !== 0) throw new Error(`Cannot format ${PATH}: ${run.stderr.toString()}`);
  return run.stdout.toString();
}

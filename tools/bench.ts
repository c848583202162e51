/**
 * Measures every promise about speed and size: `bun run bench [--rounds 3] [--only accept,resync] [--long]`.
 *
 * Each bench runs several times, one after the other, and the medians are held against the limits. With `--write` the table goes
 * to bench/RESULTS.md as well.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeMachine, type Figure, median, rounded } from "../bench/figure.ts";
import { type Bench, BENCHES, type Promised } from "../bench/promises.ts";
import { boolean, integer, list } from "../src/lib/flags.ts";
import { readFlags } from "./flags.ts";

const ROOT = join(import.meta.dir, "..");
const NAMES = [...new Set(BENCHES.map(({ command }) => nameOf(command)))];
const { rounds, only, long: withLong, write } = readFlags("bun run bench", {
  rounds: integer(
    "number",
    3,
    { min: 1, max: 100 },
    "how often each bench runs; the long ones once",
  ),
  only: list("names", `some of ${NAMES.join(", ")}`),
  long: boolean("off", "the long ones as well"),
  write: boolean("off", "writes the table to bench/RESULTS.md"),
});
const unknown = only.find((name) => !NAMES.includes(name));
if (unknown !== undefined) {
  process.stderr.write(`Cannot run --only "${unknown}": expected some of ${NAMES.join(", ")}\n`);
  process.exit(2);
}

interface Row {
  promised: Promised;
  command: string;
  seen: number[];
}

/** What a bench's file is called: `accept` of `bench/accept.ts --size 3`. */
function nameOf(command: string): string {
  return /^bench\/(\w+)\.ts/.exec(command)?.[1] ?? command;
}

async function runOnce(command: string): Promise<Figure[]> {
  const child = Bun.spawn([process.execPath, ...command.split(" ")], {
    cwd: ROOT,
    stdin: "ignore",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  const lines = text.split("\n").filter((line) => line.startsWith("{"));
  // One that has figures to show is judged by them.
  if (await child.exited !== 0 && lines.length === 0) throw new Error(`"bun ${command}" failed`);
  return lines.map((line) => JSON.parse(line) as Figure);
}

async function run(bench: Bench): Promise<Row[]> {
  const rows = bench.promises.map((promised): Row => ({
    promised,
    command: bench.command,
    seen: [],
  }));
  for (let round = 0; round < (bench.isLong ? 1 : rounds); round++) {
    for (const figure of await runOnce(bench.command)) {
      process.stdout.write(`${JSON.stringify(figure)}\n`);
      rows.find(({ promised }) => promised.id === figure.promise)?.seen.push(figure.value);
    }
  }
  const lacking = rows.find(({ seen }) => seen.length === 0);
  if (lacking !== undefined) {
    throw new Error(`"bun ${bench.command}" prints no figure for "${lacking.promised.id}"`);
  }
  return rows;
}

function isKept({ promised: { bound, limit }, seen }: Row): boolean {
  return bound === "≥" ? median(seen) >= limit : median(seen) <= limit;
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    const { what, bound, limit, unit, go = "" } = row.promised;
    const shown = `${rounded(median(row.seen))} ${unit}`.trim();
    return [
      ...[what, `${bound} ${limit} ${unit}`.trim(), isKept(row) ? shown : `**${shown}**`],
      ...[String(row.seen.length), go, `\`bun ${row.command}\``],
    ];
  });
  const head = ["promise", "limit", "median", "runs", "Go server", "command"];
  return [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

const chosen = BENCHES.filter(({ command, isLong }) => {
  if (only.length > 0) return only.includes(nameOf(command));
  return withLong || !isLong;
});
const rows: Row[] = [];
for (const bench of chosen) rows.push(...await run(bench));
const text = table(rows);
process.stderr.write(`\n${text}`);
if (write) {
  writeFileSync(
    join(ROOT, "bench", "RESULTS.md"),
    `# Results\n\n${describeMachine()}, ${new Date().toISOString().slice(0, 10)}: ` +
      `\`${["bun run bench", ...Bun.argv.slice(2)].join(" ")}\`. ` +
      "Load generators, PostgreSQL with its default durability and mosquitto " +
      "(its defaults, `set_tcp_nodelay true`) share the two cores with what is measured. What is bold is not " +
      `kept.\n\n${text}`,
  );
}
process.exit(rows.every(isKept) ? 0 : 1);

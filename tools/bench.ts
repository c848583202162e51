/**
 * Measures every promise about speed and size: `bun run bench [--rounds 3] [--only accept,resync] [--long]`.
 *
 * Each bench runs several times, one after the other, and the medians are held against the limits. With `--write` the table goes
 * to bench/RESULTS.md as well.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, type Figure, median, rounded } from "../bench/figure.ts";
import { type Bench, BENCHES, type Promised } from "../bench/promises.ts";

const ROOT = join(import.meta.dir, "..");
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string" },
    long: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);

interface Row {
  promised: Promised;
  command: string;
  seen: number[];
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

const only = values.only?.split(",");
const chosen = BENCHES.filter(({ command, isLong }) => {
  if (only !== undefined) return only.some((name) => command.startsWith(`bench/${name}.ts`));
  return values.long || !isLong;
});
const rows: Row[] = [];
for (const bench of chosen) rows.push(...await run(bench));
const text = table(rows);
process.stderr.write(`\n${text}`);
if (values.write) {
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

/**
 * What a plan costs that was made while the table was small: `bun bench/grown.ts [--resources 200000]`.
 *
 * Sixteen reports are stored in one statement, which was planned when there were fifty resources: among those, among many
 * more, and after the server has had the table analyzed.
 */

import { parseArgs } from "node:util";
import { statusUpdate } from "../src/gen/queries.ts";
import { connect } from "../src/lib/db/connect.ts";
import { analyzeGrown } from "../src/lib/db/grown.ts";
import { joinTexts } from "../src/lib/db/texts.ts";
import { fillResources } from "../tests/harness/bulk.ts";
import { createDatabase } from "../tests/harness/postgres.ts";
import { median, printFigure } from "./figure.ts";

const { values } = parseArgs({ options: { resources: { type: "string", default: "200000" } } });
const FEW = 50;
const REPORTS = 16;
const RUNS = 15;

const database = await createDatabase();
const db = connect(database.address, { maxConnections: 1, applicationName: "bench" });

let sequence = 0;
async function report(): Promise<void> {
  const ids = Array.from({ length: REPORTS }, (_, index) => `r${index + 1}`);
  const all = <T>(one: T) => ids.map(() => one);
  const texts = joinTexts(all("{}"));
  const finished = ids.map(() => false);
  sequence++;
  await statusUpdate(
    ...[db, ids, all("c"), all(1), all(String(sequence)), all(1)] as const,
    ...[texts, texts, all("h"), finished] as const,
  );
}

async function show(what: string): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const began = performance.now();
    await report();
    times.push(performance.now() - began);
  }
  printFigure({ bench: "grown", what, value: median(times), unit: "ms", n: RUNS });
}

await fillResources(db, 1, FEW);
await db.unsafe("analyze");
await show(`${REPORTS} reports, ${FEW} resources`);
const many = Number(values.resources);
await fillResources(db, FEW + 1, many / 10);
await show(`${many / 10} resources, planned for ${FEW}`);
await fillResources(db, many / 10 + 1, many);
await show(`${many} resources, planned for ${FEW}`);
const began = performance.now();
await analyzeGrown(db);
printFigure({ bench: "grown", what: "analyzing", value: performance.now() - began, unit: "ms" });
await show(`${many} resources, planned anew`);
await db.end({ timeout: 5 });
// The tests' PostgreSQL ends with this process.
process.exit(0);

/** One run: start everything, let sources and faults loose, mend, wait for quiet, decide. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fastestFolder } from "../harness/postgres.ts";
import { type Evidence, findViolations, imprint } from "./checker.ts";
import { rollDice } from "./dice.ts";
import { healAll, injectFaults } from "./inject.ts";
import { createModel, type Wanted } from "./model.ts";
import { makePlan, type Plan } from "./plan.ts";
import { openStage, type Stage, untilConnected } from "./stage.ts";
import { startSubscriber } from "./subscriber.ts";
import { startWitness } from "./witness.ts";
import { runWorkload, SOURCE } from "./workload.ts";

export interface RunOptions {
  seed: number;
  /** How long sources and faults go on. */
  lengthMs: number;
  isFromSource: boolean;
  /** Where the account of a run that fails is written, each in a folder of its own. */
  accounts: string;
  /** Told each line of the timeline as it happens. */
  trace?: (line: string) => void;
}

export interface Verdict {
  seed: number;
  violations: string[];
  /** One line about the run. */
  summary: string;
  /** What happened, if there are violations. */
  account: string;
}

/** After all is mended everything must be right within this time. */
const QUIET_TIMEOUT_MS = 90_000;
const QUIET_WINDOW_MS = 3_000;
const POLL_MS = 250;
/** Some seeds leave hardly any time in which something can be accepted. */
const CALLS_OK_PER_SECOND_MIN = 0.5;

/** Runs a seed. It decides topology, workload and faults; how they interleave is the machine's. */
export async function runSeed(options: RunOptions): Promise<Verdict> {
  const plan = makePlan(options.seed, options.lengthMs);
  const folder = join(fastestFolder(), `maestro-faults-${options.seed}-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  try {
    await using stage = await openStage(plan.topology, { folder, ...options });
    return await judge(stage, plan, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function judge(stage: Stage, plan: Plan, options: RunOptions): Promise<Verdict> {
  const timeline: string[] = [];
  const startedAt = performance.now();
  const say = (line: string) => {
    timeline.push(`${new Date().toISOString()} ${line}`);
    options.trace?.(timeline.at(-1) ?? "");
  };
  const dice = rollDice(plan.seed);
  const model = createModel();
  await untilConnected(stage);
  await using witness = await startWitness(stage);
  await using subscriber = startSubscriber(
    stage,
    SOURCE,
    () => [...model.resources.values()].filter(isWanted).map(({ name }) => name),
  );
  const evidence: Evidence = { stage, model, witness, subscriber };

  const end = new AbortController();
  const working = runWorkload(stage, model, dice.fork("workload"), end.signal);
  const around = { stage, witness, dice: dice.fork("faults"), say };
  const [faults] = await Promise.allSettled([
    injectFaults(plan, around),
    Bun.sleep(plan.lengthMs),
  ]);
  end.abort();
  say("the faults are over");
  await working;
  say("the sources are done");
  if (faults.status === "rejected") say(`the faults ended early: ${faults.reason}`);
  await healAll(stage);
  say("all is mended");
  const healedAt = performance.now();

  const left = await untilQuiet(evidence, say);
  const quietMs = performance.now() - healedAt;
  const violations = [...new Set([...seenOf(evidence), ...idleness(evidence, plan), ...left])];
  const { topology } = plan;
  const summary = [
    `seed ${plan.seed}: ${topology.broker}${
      topology.broker === "mqtt" ? ` ${topology.reports}` : ""
    }`,
    `${topology.servers} servers, ${topology.agents} agents, ${plan.faults.length} faults`,
    `${model.calls.ok} OK, ${model.calls.refused} refused, ${model.calls.unknown} without an answer`,
    `${witness.looks} looks, quiet after ${(quietMs / 1000).toFixed(1)} s`,
    `${((performance.now() - startedAt) / 1000).toFixed(1)} s in all`,
  ].join("; ");
  const verdict = { seed: plan.seed, violations, summary, account: "" };
  if (violations.length === 0) return verdict;
  return { ...verdict, account: writeAccount(evidence, { ...verdict, timeline }, options) };
}

/** What was seen while it ran, and can never become right again. */
function seenOf({ model, witness, subscriber }: Evidence): string[] {
  return [...model.violations, ...witness.violations, ...subscriber.violations];
}

/** A run in which little was accepted proves little. */
function idleness({ model }: Evidence, { lengthMs }: Plan): string[] {
  const least = Math.round(lengthMs / 1000 * CALLS_OK_PER_SECOND_MIN);
  return model.calls.ok >= least
    ? []
    : [`only ${model.calls.ok} calls were accepted, not ${least}`];
}

function isWanted({ source, isAlive, isAsked }: Wanted): boolean {
  return source === "grpc" && (isAlive !== "no" || isAsked);
}

/** Waits until nothing is wrong and nothing is written for a while. Resolves to what is wrong at the deadline. */
async function untilQuiet(evidence: Evidence, say: (line: string) => void): Promise<string[]> {
  const deadline = performance.now() + QUIET_TIMEOUT_MS;
  const look = (find: (evidence: Evidence) => Promise<string[]>) =>
    find(evidence).catch((error) => [`the checker cannot look: ${error}`]);
  let wrong: string[] = [];
  while (performance.now() < deadline) {
    // What was seen once cannot become right again.
    if (seenOf(evidence).length > 0) return wrong;
    wrong = await look(findViolations);
    if (wrong.length === 0) wrong = await look(findUnrest);
    if (wrong.length === 0) wrong = await look(findViolations);
    if (wrong.length === 0) return wrong;
    await Bun.sleep(POLL_MS);
  }
  say(`not quiet after ${QUIET_TIMEOUT_MS / 1000} s`);
  return wrong;
}

/** Looks twice: what is written though nothing is pending. */
async function findUnrest({ stage }: Evidence): Promise<string[]> {
  const before = await imprint(stage);
  await Bun.sleep(QUIET_WINDOW_MS);
  const after = await imprint(stage);
  return before === after ? [] : [`I9 all: nothing is pending, and ${before} became ${after}`];
}

function writeAccount(
  { stage, model, witness }: Evidence,
  { seed, violations, summary, timeline }: Verdict & { timeline: string[] },
  { accounts }: RunOptions,
): string {
  const folder = join(accounts, `seed-${seed}`);
  mkdirSync(folder, { recursive: true });
  const guilty = [...new Set(violations.flatMap((line) => /\b(work-\d+)\b/.exec(line)?.[1] ?? []))];
  const histories = guilty.slice(0, 10).flatMap((name) => [
    `${name}:`,
    ...[...(model.resources.get(name)?.history ?? []), ...(witness.seen.get(name) ?? [])]
      .toSorted().map((line) => `  ${line}`),
  ]);
  const account = [
    summary,
    "",
    ...["violations:", ...violations, ""],
    ...["timeline:", ...timeline, ""],
    ...["histories:", ...histories, ""],
    `logs: ${folder}`,
  ].join("\n");
  writeFileSync(join(folder, "account.txt"), account);
  for (const place of [...stage.servers, ...stage.agents]) {
    writeFileSync(join(folder, `${place.name}.log`), place.log());
  }
  if (stage.broker) writeFileSync(join(folder, "mosquitto.log"), stage.broker.log());
  return account;
}

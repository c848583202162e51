/** Sources that create, update, delete and create again, some over REST, and one that meddles. */

import { query } from "../../src/lib/db/query.ts";
import { specEvent, type SpecEventParts } from "../harness/events.ts";
import { type Answered, callGrpc, callRest } from "./calls.ts";
import { bundleOf, configMap } from "./content.ts";
import type { Dice } from "./dice.ts";
import { type Model, noteContent, noteDeletion, type Outcome, type Wanted } from "./model.ts";
import type { Stage } from "./stage.ts";

/** The source whose statuses are watched, and one that owns nothing. */
export const SOURCE = "harness";
const INTRUDER = "intruder";

const WORKERS = 12;
const PAUSE_MS_MAX = 120;
const MANIFESTS_MAX = 3;
const RESOURCES_MAX = 400;

interface Scene {
  stage: Stage;
  model: Model;
  dice: Dice;
  busy: Set<string>;
  nextToken: () => number;
  nextName: () => string;
}

/** Runs until the signal aborts, and the calls under way have their answers. */
export async function runWorkload(
  stage: Stage,
  model: Model,
  dice: Dice,
  signal: AbortSignal,
): Promise<void> {
  let token = 0;
  let count = 0;
  const common = {
    stage,
    model,
    busy: new Set<string>(),
    nextToken: () => ++token,
    nextName: () => `work-${++count}`,
  };
  const work = async (index: number) => {
    const scene: Scene = { ...common, dice: dice.fork(`worker ${index}`) };
    while (!signal.aborted) {
      await step(scene);
      await Bun.sleep(scene.dice.between(5, PAUSE_MS_MAX));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, (_, index) => work(index)));
}

async function step(scene: Scene): Promise<void> {
  const { dice, model } = scene;
  const known = [...model.resources.values()].filter((one) =>
    !scene.busy.has(one.name) && isOpen(one)
  );
  const isFull = model.resources.size >= RESOURCES_MAX;
  if (!isFull && (known.length < 10 || dice.happens(0.3))) return await createNew(scene);
  if (known.length === 0) return;
  const wanted = dice.pick(known);
  scene.busy.add(wanted.name);
  try {
    await change(scene, wanted);
  } finally {
    scene.busy.delete(wanted.name);
  }
}

/** Something can be asked about it whose outcome will be known. */
function isOpen({ isAlive, isDeletionOpen, isTainted, source }: Wanted): boolean {
  if (isAlive === "no") return !isTainted && source === "grpc";
  return isAlive === "yes" || isDeletionOpen;
}

async function createNew(scene: Scene): Promise<void> {
  const { dice, model, stage } = scene;
  const name = scene.nextName();
  const source = dice.happens(0.2) ? "rest" : "grpc";
  const wanted: Wanted = {
    name,
    id: source === "grpc" ? name : undefined,
    source,
    agent: dice.between(0, stage.agents.length - 1),
    tokens: [],
    counts: new Map(),
    isAlive: "no",
    isAsked: false,
    isTainted: false,
    wasDeleteAsked: false,
    isDeletionOpen: false,
    history: [],
  };
  scene.busy.add(name);
  model.resources.set(name, wanted);
  await create(scene, wanted);
  scene.busy.delete(name);
}

async function create(scene: Scene, wanted: Wanted): Promise<void> {
  const { token, count } = newContent(scene, wanted);
  wanted.isAsked = true;
  const answered = wanted.source === "grpc"
    ? await send(scene, wanted, {
      action: "create_request",
      data: bundleOf(wanted.name, token, count),
    })
    : await callRest(chooseRest(scene), "POST", "", {
      name: wanted.name,
      consumer_name: consumerOf(scene, wanted),
      version: 1,
      manifest: configMap(`${wanted.name}-0`, token),
    });
  if (answered.id !== undefined) wanted.id = answered.id;
  note(scene, wanted, `create token ${token}`, answered);
  noteContent(wanted, token, answered.outcome);
  wanted.isAsked = false;
}

async function change(scene: Scene, wanted: Wanted): Promise<void> {
  const { dice } = scene;
  if (wanted.isAlive === "no") {
    if (wanted.isTainted || wanted.source === "rest" || !dice.happens(0.6)) return;
    const before = await stored(scene, wanted);
    // Created again only once it is gone; before that the id is taken.
    if (before === undefined) await create(scene, wanted);
    return;
  }
  if (wanted.isAlive === "maybe") {
    // Whoever got no answer to a deletion asks again. A create without one is left alone.
    if (wanted.isDeletionOpen) await remove(scene, wanted);
    return;
  }
  const luck = dice.next();
  if (luck < 0.45) await update(scene, wanted);
  else if (luck < 0.6) await updateStale(scene, wanted);
  else if (luck < 0.75) await meddle(scene, wanted);
  else await remove(scene, wanted);
}

async function update(scene: Scene, wanted: Wanted): Promise<void> {
  const before = await stored(scene, wanted);
  if (before === undefined) return;
  const { token, count } = newContent(scene, wanted);
  const answered = await sendUpdate(scene, wanted, { token, count, version: before.version });
  note(scene, wanted, `update version ${before.version} to token ${token}`, answered);
  noteContent(wanted, token, answered.outcome);
}

async function updateStale(scene: Scene, wanted: Wanted): Promise<void> {
  const before = await stored(scene, wanted);
  if (before === undefined || before.version < 2) return;
  const { token, count } = newContent(scene, wanted);
  const version = before.version - 1;
  const answered = await sendUpdate(scene, wanted, { token, count, version });
  note(scene, wanted, `stale update of version ${version}`, answered);
  if (answered.outcome === "ok") {
    scene.model.violations.push(`I3 ${wanted.name}: a stale update was accepted`);
  }
}

async function sendUpdate(
  scene: Scene,
  wanted: Wanted,
  { token, count, version }: { token: number; count: number; version: number },
): Promise<Answered> {
  if (wanted.source === "grpc") {
    const data = bundleOf(wanted.name, token, count);
    return await send(scene, wanted, { action: "update_request", version, data });
  }
  const manifest = configMap(`${wanted.name}-0`, token);
  return await callRest(chooseRest(scene), "PATCH", `/${wanted.id}`, { version, manifest });
}

/** Another source must be able to change nothing. */
async function meddle(scene: Scene, wanted: Wanted): Promise<void> {
  if (wanted.source === "rest") return;
  const isDeletion = scene.dice.happens(0.5);
  const before = await stored(scene, wanted);
  if (before === undefined) return;
  const answered = await send(scene, wanted, {
    action: isDeletion ? "delete_request" : "update_request",
    source: INTRUDER,
    version: before.version,
    data: bundleOf(wanted.name, scene.nextToken(), 1),
  });
  note(scene, wanted, `another source's ${isDeletion ? "deletion" : "update"}`, answered);
  if (answered.outcome === "ok") {
    scene.model.violations.push(`I6 ${wanted.name}: another source's change was accepted`);
  }
}

async function remove(scene: Scene, wanted: Wanted): Promise<void> {
  wanted.wasDeleteAsked = true;
  const answered = wanted.source === "grpc"
    ? await send(scene, wanted, { action: "delete_request" })
    : await callRest(chooseRest(scene), "DELETE", `/${wanted.id}`);
  note(scene, wanted, "delete", answered);
  // REST answers 404 when an earlier try has come through to the end.
  const isGone = wanted.source === "rest" && answered.text.startsWith("404");
  noteDeletion(wanted, isGone ? "ok" : answered.outcome);
}

async function send(
  scene: Scene,
  wanted: Wanted,
  parts: Omit<SpecEventParts, "id" | "consumerName">,
): Promise<Answered> {
  const port = scene.dice.pick(scene.stage.servers).sourceLink.port;
  const consumerName = consumerOf(scene, wanted);
  return await callGrpc(
    port,
    specEvent({ source: SOURCE, ...parts, id: wanted.name, consumerName }),
  );
}

function newContent(scene: Scene, wanted: Wanted): { token: number; count: number } {
  const token = scene.nextToken();
  const count = wanted.source === "rest" ? 1 : scene.dice.between(1, MANIFESTS_MAX);
  wanted.counts.set(token, count);
  return { token, count };
}

/** What is stored now, as a source reads it before it writes; undefined if nothing can be read or written. */
async function stored(scene: Scene, wanted: Wanted): Promise<{ version: number } | undefined> {
  const statement = "select version from resources where name = $1";
  const rows = await query<{ version: number }>(scene.stage.database.db, statement, [wanted.name])
    .catch(() => []);
  return rows[0];
}

function note({ model }: Scene, wanted: Wanted, asked: string, answered: Answered): void {
  const outcome: Outcome = answered.outcome;
  model.calls[outcome]++;
  wanted.history.push(`${new Date().toISOString()} ${asked}: ${outcome} (${answered.text})`);
}

function chooseRest({ stage, dice }: Scene): string {
  const running = stage.servers.flatMap((server) => server.program() ?? []);
  return running.length === 0 ? "http://127.0.0.1:1" : dice.pick(running).rest;
}

function consumerOf({ stage }: Scene, wanted: Wanted): string {
  return stage.agents[wanted.agent]?.consumerName ?? "";
}

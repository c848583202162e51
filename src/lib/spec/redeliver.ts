/**
 * Sending again what was not answered: when its pause is over, and when its consumer has connected.
 *
 * Redelivery walks through what is pending for a consumer, in two lanes, a step of each consumer at a time. So
 * nobody waits for the end of another's backlog, no create for that of its own consumer's deletions, and a walk
 * over any number of resources looks at each of them once. Only those are walked that are connected here, or that
 * the broker does not know to be away: for others it would be work without end.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { isHere, type Publish, type Ready } from "./publish.ts";
import { waitingOf } from "./waiting.ts";
import { CLAIM_BYTES_MAX, LANES, sendSpecs, shuffle, turnCount } from "./send.ts";

export interface SpecRedelivery {
  /** Notes that these consumers have connected, or can take more; none means that everybody may. */
  hint(consumerNames: readonly string[]): void;
  /** One step of each walk; resolves to true if there is more to do. */
  run(): Promise<boolean>;
}

export interface RedeliveryOptions {
  sourceId: string;
  ready: () => Ready;
  /** How often it is looked for what has become due. */
  sweepMs: number;
}

interface Walk {
  connectedAt: string;
  /** Of each lane the id to go on after; undefined at its end. */
  after: (string | undefined)[];
  /** At the end of both nothing is due before this time. */
  restMs: number;
  restUntil: number;
  touchedAt: number;
}

/** Consumers in one step; with more of them each gets its turn in a later one. */
const STEP_CONSUMERS_MAX = 100;
/** Rows that a step looks at, in all lanes together, and in one. */
const LOOK_MAX = 20_000;
const LANE_LOOK_MAX = 500;
/** What is sent after a walk is due after this at the earliest: claim.sql and lose.sql say so. */
const REST_MS_MAX = 15_000;
/** A walk that waits for its consumer goes on where it was for so long. */
const KEEP_MS = 60_000;
/** A timer may be early. */
const SLACK = 0.9;

/** Makes the redelivery that a pump runs. */
export function createSpecRedelivery(
  db: Db,
  publish: Publish,
  log: Logger,
  options: RedeliveryOptions,
): SpecRedelivery {
  const walks = new Map<string, Walk>();
  /** The consumers whose walks go on, those whose turn was longest ago first. */
  const active = new Set<string>();
  const hinted = new Set<string>();
  let sweptAt = -Infinity;
  let isSweeping = false;

  const begin = (name: string, connectedAt: string) => {
    const now = performance.now();
    const walk = walks.get(name);
    if (walk?.connectedAt !== connectedAt) {
      const fresh = {
        after: LANES.map(() => ""),
        restMs: REST_MS_MAX,
        restUntil: 0,
        touchedAt: now,
      };
      walks.set(name, { connectedAt, ...fresh });
    } else if (walk.restUntil > now) return;
    active.add(name);
  };

  const sweep = async (ready: Ready) => {
    const now = performance.now();
    if (!isSweeping && now - sweptAt < options.sweepMs * SLACK) return;
    if (!isSweeping) {
      sweptAt = now;
      for (const [name, walk] of walks) {
        const isOver = walk.restUntil < now && now - walk.touchedAt > KEEP_MS;
        if (isOver && !active.has(name)) walks.delete(name);
      }
    }
    const { names, isLast } = await withPending(db, ready);
    isSweeping = !isLast;
    for (const name of names) begin(name, connectedAtOf(ready, name) ?? "");
  };

  /** Those whose turn it is; who cannot take more now is woken later. */
  const nextTurn = (ready: Ready): [string, Walk][] => {
    const turn: [string, Walk][] = [];
    for (const name of active) {
      if (turn.length === STEP_CONSUMERS_MAX) break;
      const walk = walks.get(name);
      if (walk === undefined || connectedAtOf(ready, name) !== walk.connectedAt) {
        active.delete(name);
      } else turn.push([name, walk]);
    }
    return turn;
  };

  const step = async (turn: [string, Walk][]) => {
    const lanes = shuffle(turn.flatMap(([name, walk]) =>
      LANES.flatMap((isDeletion, lane) => {
        const after = walk.after[lane];
        return after === undefined ? [] : [{ name, walk, isDeletion, lane, after }];
      })
    ));
    const lookCount = Math.min(LANE_LOOK_MAX, Math.ceil(LOOK_MAX / lanes.length));
    const looked = await q.resourceFindDue(
      db,
      lanes.map(({ name }) => name),
      lanes.map(({ isDeletion }) => isDeletion),
      lanes.map(({ after }) => after),
      lanes.map(({ walk }) => walk.connectedAt),
      lookCount,
    );
    const sendCount = turnCount(lanes.length);
    let bytes = 0;
    const steps = looked.flatMap(({ place, due_ids, due_bytes, seen_count, last_id, rest_ms }) => {
      const found = lanes[place - 1];
      if (found === undefined) return [];
      const ids: string[] = [];
      for (const [index, id] of due_ids.slice(0, sendCount).entries()) {
        const size = due_bytes[index] ?? 0;
        if (id === null || (bytes > 0 && bytes + size > CLAIM_BYTES_MAX)) break;
        bytes += size;
        ids.push(id);
      }
      const isWhole = ids.length === due_ids.length;
      const isEnd = isWhole && seen_count < lookCount;
      const after = isWhole ? last_id ?? undefined : ids.at(-1) ?? found.after;
      return [{ ...found, ids, after: isEnd ? undefined : after, restMs: rest_ms }];
    });
    await claim(steps);
    for (const { walk, lane, after, restMs } of steps) {
      walk.after[lane] = after;
      walk.restMs = Math.min(walk.restMs, restMs);
    }
  };

  const claim = async (steps: { ids: string[]; walk: Walk }[]) => {
    const ids = steps.flatMap((one) => one.ids);
    if (ids.length === 0) return;
    const connectedAts = steps.flatMap((one) => one.ids.map(() => one.walk.connectedAt));
    const rows = await q.resourceClaimDue(db, ids, connectedAts);
    sendSpecs(rows, publish, log, options.sourceId);
  };

  /** Lets the others have their turn first; at its end a walk rests until something may be due. */
  const goOn = (turn: [string, Walk][]) => {
    const now = performance.now();
    for (const [name, walk] of turn) {
      active.delete(name);
      walk.touchedAt = now;
      if (walk.after.some((after) => after !== undefined)) active.add(name);
      else {
        walk.after = LANES.map(() => "");
        walk.restUntil = now + Math.max(0, walk.restMs);
        walk.restMs = REST_MS_MAX;
      }
    }
  };

  return {
    hint(consumerNames) {
      if (consumerNames.length === 0) sweptAt = -Infinity;
      for (const name of consumerNames) hinted.add(name);
    },
    async run() {
      const ready = options.ready();
      for (const name of hinted) {
        const connectedAt = connectedAtOf(ready, name);
        if (connectedAt !== undefined) begin(name, connectedAt);
      }
      hinted.clear();
      await sweep(ready);
      const turn = nextTurn(ready);
      if (turn.length > 0) {
        await step(turn);
        goOn(turn);
      }
      return active.size > 0 || isSweeping;
    },
  };
}

/** Undefined for those who cannot be sent to now. */
function connectedAtOf(ready: Ready, name: string): string | undefined {
  if (isHere(ready)) return ready.get(name)?.connectedAt;
  return ready.isReady(name) ? ready.connectedAt : undefined;
}

async function withPending(db: Db, ready: Ready): Promise<{ names: string[]; isLast: boolean }> {
  if (!isHere(ready)) return await ready.withPending();
  const waiting = await waitingOf(ready, {
    first: (count) => q.resourcePendingConsumersAfter(db, "", count),
    among: (names) => q.resourcePendingConsumers(db, names),
  });
  return { names: waiting, isLast: true };
}

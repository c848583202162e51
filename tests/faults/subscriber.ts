/** A source that follows its statuses, comes back after every loss, and asks for what it lacks. */

import { parseJson } from "../../src/lib/json.ts";
import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import { statusResync } from "../harness/events.ts";
import { subscribe, type Subscription } from "../harness/grpc.ts";
import type { Stage } from "./stage.ts";

export interface Held {
  version: string;
  sequence: string;
  hash: string;
  isDeleted: boolean;
}

export interface Subscriber extends AsyncDisposable {
  /** The last status of each resource, by id. */
  held: Map<string, Held>;
  /** What it must never be told. */
  violations: string[];
  /** How often it had to come back. */
  losses: number;
}

const SILENCE_MS_MAX = 3_500;
const POLL_MS = 50;
const PAUSE_MS = 200;

/** Starts to follow the statuses of a source, at one server after the other; `own` are the ids that it wants. */
export function startSubscriber(stage: Stage, source: string, own: () => string[]): Subscriber {
  let isOver = false;
  let turn = 0;
  const subscriber: Subscriber = {
    held: new Map(),
    violations: [],
    losses: -1,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await following;
    },
  };
  const follow = async () => {
    while (!isOver) {
      subscriber.losses++;
      const port = stage.servers[turn++ % stage.servers.length]?.sourceLink.port ?? 0;
      // It comes back whatever the reason was.
      await followOnce(subscriber, { port, source, own }, () => isOver).catch(() => {});
      await Bun.sleep(PAUSE_MS);
    }
  };
  const following = follow();
  return subscriber;
}

async function followOnce(
  { held, violations }: Subscriber,
  { port, source, own }: { port: number; source: string; own: () => string[] },
  isOver: () => boolean,
): Promise<void> {
  const subscription = await within(subscribe(`127.0.0.1:${port}`, { source }));
  let hasEnded = false;
  void subscription.ended.then(() => hasEnded = true);
  try {
    const asked = statusResync(source, hashesOf(held, own()));
    // Twice at once, as of an impatient one: neither answer may be older than the other.
    await within(Promise.all([subscription.publish(asked), subscription.publish(asked)]));
    let taken = 0;
    let heardAt = performance.now();
    let beats = 0;
    while (!isOver()) {
      for (; taken < subscription.events.length; taken++) {
        const problem = take(held, subscription.events[taken]);
        if (problem !== undefined) violations.push(problem);
        heardAt = performance.now();
      }
      if (subscription.heartbeats > beats) heardAt = performance.now();
      beats = subscription.heartbeats;
      if (hasEnded || performance.now() - heardAt > SILENCE_MS_MAX) return;
      await Bun.sleep(POLL_MS);
    }
  } finally {
    subscription.close();
  }
}

/** A connection that does not come about is given up; should it come later, it is closed. */
async function within<T extends Subscription | unknown[]>(promise: Promise<T>): Promise<T> {
  const late = Bun.sleep(SILENCE_MS_MAX).then(() => "late" as const);
  const first = await Promise.race([promise, late]);
  if (first !== "late") return first as T;
  promise.then((found) => "close" in found && found.close(), () => {});
  throw new Error("no answer");
}

/** Keeps an event; returns what is wrong with it. */
function take(held: Map<string, Held>, event: CloudEvent | undefined): string | undefined {
  if (event === undefined || !event.type.includes(".status.")) return;
  const id = String(event.extensions[EXT.resourceId]);
  const sequence = String(event.extensions[EXT.sequenceId] ?? "0");
  const before = held.get(id);
  const isDeleted = hasDeleted(event);
  if (before !== undefined && BigInt(sequence) < BigInt(before.sequence)) {
    // As the official client does: what is older than what it holds is left out. The end of an earlier life may come
    // after the answer to a resync that knows the next one.
    if (isDeleted) return;
    return `I7 ${id}: the source is told sequence ${sequence} after ${before.sequence}`;
  }
  held.set(id, {
    version: String(event.extensions[EXT.resourceVersion]),
    sequence,
    hash: String(event.extensions[EXT.statusHash] ?? ""),
    isDeleted,
  });
  return undefined;
}

/** As the official client lists them: all that it wants or believes alive, with no hash where it holds no status. */
function hashesOf(held: Map<string, Held>, own: string[]) {
  const living = [...held].filter(([, { isDeleted }]) => !isDeleted).map(([id]) => id);
  return [...new Set([...living, ...own])].map((resourceId) => {
    const known = held.get(resourceId);
    return { resourceId, hash: known === undefined || known.isDeleted ? "" : known.hash };
  });
}

function hasDeleted(event: CloudEvent): boolean {
  const document = parseJson(event.data ?? "{}") as { conditions?: { type: string }[] };
  return (document.conditions ?? []).some(({ type }) => type === "Deleted");
}

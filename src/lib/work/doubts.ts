/**
 * Does not believe every deletion that answers a list of what is held.
 *
 * A peer tells an agent to delete whatever it does not know itself. If it lacks everything, as with an empty database or
 * one that is not ready, that would end every workload (promise I6). So its guess counts once it has shown, on this
 * connection, that it has any resource at all. It is asked for that if it has not.
 */

import { type CloudEvent, EXT } from "../wire/event.ts";
import { ACTION, parseEventType } from "../wire/event_type.ts";
import type { Ledger } from "./ledger.ts";
import type { Works } from "./receive.ts";
import { SOURCE_LABEL } from "./report.ts";

/** The guesses of one answer come together. */
const ASK_AFTER_MS = 1_000;

export interface Doubts extends Disposable {
  /** Whoever answers from now on has shown nothing yet. */
  connected(): void;
  /** Takes note of an event that tells a spec or a deletion; true if it is not to be believed. */
  rejects(event: CloudEvent): boolean;
}

export interface DoubtParts {
  ledger: Ledger;
  works: Works;
  /** Asks the server for all that it has, and about these ids again; at most once for each connection. */
  ask: (ids: string[]) => void;
}

/** Creates the doubts of one agent, before its first connection. */
export function createDoubts({ ledger, works, ask }: DoubtParts): Doubts {
  const doubted = new Set<string>();
  let hasShown = false;
  let timer: Timer | undefined;
  let hasAsked = false;

  const askLater = () => {
    if (hasAsked) return;
    hasAsked = true;
    timer = setTimeout(() => ask([...doubted]), ASK_AFTER_MS);
    timer.unref();
  };

  return {
    connected() {
      clearTimeout(timer);
      doubted.clear();
      hasShown = false;
      hasAsked = false;
    },
    rejects(event) {
      if (!isGuess(event)) {
        hasShown = true;
        return false;
      }
      const { extensions } = event;
      const id = String(extensions[EXT.resourceId]);
      const entry = ledger.get(id);
      // Nothing is lost by it.
      if (entry === undefined || entry.isDeleting) return false;
      const isOfBroker = extensions[EXT.resourceVersion] === undefined;
      const isHeld = works.get(id)?.specText !== undefined;
      // A source answers for itself, and none with an empty store; of what is held its name is known.
      if (isHeld && !isOfBroker) return false;
      const holder = entry.labels[SOURCE_LABEL];
      if (!isHeld && !isOfBroker && holder !== undefined && holder !== event.source) return true;
      if (hasShown) return false;
      doubted.add(id);
      askLater();
      return true;
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** A deletion without spec, metadata and our server's time: it is known only that the resource is not known. */
function isGuess({ type, extensions, data }: CloudEvent): boolean {
  if (extensions[EXT.deletionTimestamp] === undefined) return false;
  if (data !== undefined || extensions[EXT.readAt] !== undefined) return false;
  return !extensions[EXT.metadata] && parseEventType(type).action === ACTION.resyncResponse;
}

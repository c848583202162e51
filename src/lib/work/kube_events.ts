/**
 * Tells of failures where kubectl shows them: as Kubernetes Events of the objects.
 *
 * Each distinct failure is one Event. While it lasts it is written again rarely, with its count; when it is over, one
 * more says so. Nothing waits for Events, and nothing fails if they cannot be written. While all is well nothing is
 * written at all.
 */

import { createHash } from "node:crypto";
import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import type { Outcome } from "./apply_slot.ts";
import { LEDGER_API_VERSION, LEDGER_KIND } from "./crd.ts";
import { type Kube, KubeError, type ObjectRef } from "./kube_api.ts";
import type { LedgerEntry } from "./ledger.ts";
import { objectKey, type Slot } from "./work.ts";

/** How often an Event that goes on is written again. */
const SERIES_MS = 600_000;
/** Failures that are remembered: beyond, the oldest is told as if it were new. */
const KNOWN_MAX = 1_000;
/** Events that wait to be written; more are dropped, since the conditions say the same. */
const WAITING_MAX = 100;
/** How many may come at once, and how often one more: a cluster in trouble has other worries. */
const BURST = 25;
const REFILL_MS = 1_000;
/** Where Events are forbidden, this is how often it is tried whether they still are. */
const FORBIDDEN_MS = 600_000;
/** Limits of events.k8s.io/v1. */
const NOTE_CHARS_MAX = 1_000;
const REASON_CHARS_MAX = 128;

export interface EventTeller extends AsyncDisposable {
  /** A manifest had its turn. */
  turned(entry: LedgerEntry, slot: Slot, outcome: Outcome): void;
  /** Somebody changed an object, and it will be set right. */
  drifted(slot: Slot): void;
  /** Objects of this entry do not go. */
  undeletable(entry: LedgerEntry, message: string): void;
}

export interface EventTellerOptions {
  /** Names this process in the Events. */
  instance: string;
  nowMs: () => number;
  log: Logger;
}

/** What an Event says. */
interface Telling {
  type: "Warning" | "Normal";
  reason: string;
  action: string;
  note: string;
  regarding: JsonObject;
  /** The namespace of what it regards; empty for the whole cluster. */
  namespace: string;
}

/** One failure that was told. */
interface Known {
  telling: Telling;
  ref: ObjectRef;
  count: number;
  writtenAtMs: number;
}

/** Creates a teller. Nothing is written until something fails. */
export function createEventTeller(kube: Kube, options: EventTellerOptions): EventTeller {
  const { nowMs, log } = options;
  const known = new Map<string, Known>();
  const waiting: (() => Promise<void>)[] = [];
  let writing: Promise<void> | undefined;
  let tokens = BURST;
  let refilledAtMs = nowMs();
  let silentUntilMs = -Infinity;
  let stopped = false;

  const write = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      try {
        if (nowMs() >= silentUntilMs) await job();
      } catch (error) {
        if (error instanceof KubeError && error.status === 403) {
          silentUntilMs = nowMs() + FORBIDDEN_MS;
          log.warn("Kubernetes Events may not be written", { reason: describeError(error) });
        } else log.debug("cannot write a Kubernetes Event", { reason: describeError(error) });
      }
    }
    writing = undefined;
  };
  const enqueue = (job: () => Promise<void>) => {
    const refills = Math.floor((nowMs() - refilledAtMs) / REFILL_MS);
    tokens = Math.min(BURST, tokens + refills);
    refilledAtMs += refills * REFILL_MS;
    if (stopped || tokens < 1 || waiting.length >= WAITING_MAX) return false;
    tokens--;
    waiting.push(job);
    // Never rejects: what fails is logged.
    writing ??= write();
    return true;
  };

  const tell = (key: string, telling: Telling) => {
    const found = known.get(key);
    const isSame = found?.telling.reason === telling.reason && found.telling.note === telling.note;
    if (found !== undefined && isSame) {
      found.count++;
      if (nowMs() - found.writtenAtMs < SERIES_MS) return;
      found.writtenAtMs = nowMs();
      enqueue(() => writeAgain(kube, found, nowMs()));
      return;
    }
    const ref = newRef(telling);
    const next: Known = { telling, ref, count: 1, writtenAtMs: nowMs() };
    if (!enqueue(() => writeFirst(kube, ref, telling, options))) return;
    known.delete(key);
    const [oldest] = known.keys();
    if (known.size >= KNOWN_MAX && oldest !== undefined) known.delete(oldest);
    known.set(key, next);
  };

  return {
    turned(entry, slot, { isApplied }) {
      const key = keyOf(entry, slot);
      const applied = slot.conditions.find(({ type }) => type === "Applied");
      if (!isApplied) {
        return tell(key, {
          type: "Warning",
          reason: reasonOf(applied),
          action: "Apply",
          note: applied?.message ?? "Failed to apply manifest",
          ...placeOf(entry, slot),
        });
      }
      const failed = known.get(key);
      if (failed === undefined) return;
      known.delete(key);
      const times = failed.count === 1 ? "a failure" : `${failed.count} failures`;
      const telling: Telling = {
        ...{ type: "Normal", reason: "Recovered", action: "Apply" },
        note: `Applied after ${times}`,
        ...placeOf(entry, slot),
      };
      enqueue(() => writeFirst(kube, newRef(telling), telling, options));
    },
    drifted(slot) {
      if (slot.ref === undefined || slot.uid === undefined) return;
      tell(`drift ${objectKey(slot.ref)}`, {
        ...{ type: "Normal", reason: "DriftFound", action: "Apply" },
        note: "Somebody changed the object; it is set right",
        ...regardingObject(slot.ref, slot.uid),
      });
    },
    undeletable(entry, message) {
      tell(`deletion ${entry.name}`, {
        ...{ type: "Warning", reason: "DeletionStuck", action: "Delete", note: message },
        ...regardingEntry(entry),
      });
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      waiting.length = 0;
      await writing;
    },
  };
}

const EVENTS = {
  group: "events.k8s.io",
  version: "v1",
  kind: "Event",
  resource: "events",
  isNamespaced: true,
};

const WRITER = { fieldManager: "maestro-agent" };

async function writeFirst(
  kube: Kube,
  ref: ObjectRef,
  { type, reason, action, note, regarding }: Telling,
  { instance, nowMs }: EventTellerOptions,
): Promise<void> {
  await kube.create(ref, {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: ref.name, namespace: ref.namespace },
    eventTime: microTime(nowMs()),
    reportingController: "maestro.io/agent",
    reportingInstance: instance,
    type,
    reason: reason.slice(0, REASON_CHARS_MAX),
    action,
    note: note.length <= NOTE_CHARS_MAX ? note : `${note.slice(0, NOTE_CHARS_MAX)}…`,
    regarding,
  }, WRITER);
}

async function writeAgain(kube: Kube, { ref, count }: Known, nowMs: number): Promise<void> {
  const series = { count, lastObservedTime: microTime(nowMs) };
  await kube.patch(ref, { series }, { ...WRITER, type: "merge" });
}

function reasonOf(applied: Slot["conditions"][number] | undefined): string {
  if (applied?.message.includes("not allowed to apply the resource")) return "ExecutorDenied";
  return applied?.reason || "AppliedManifestFailed";
}

function keyOf(entry: LedgerEntry, { ref, meta }: Slot): string {
  return `${entry.name} ${ref === undefined ? meta.ordinal : objectKey(ref)}`;
}

/** The object if it is there, else what would own it. */
function placeOf(
  entry: LedgerEntry,
  { ref, uid }: Slot,
): { regarding: JsonObject; namespace: string } {
  return ref === undefined || uid === undefined ? regardingEntry(entry) : regardingObject(ref, uid);
}

function regardingObject(
  { type, namespace, name }: ObjectRef,
  uid: string,
): { regarding: JsonObject; namespace: string } {
  const apiVersion = type.group === "" ? type.version : `${type.group}/${type.version}`;
  const where = namespace === "" ? {} : { namespace };
  return { regarding: { apiVersion, kind: type.kind, name, uid, ...where }, namespace };
}

function regardingEntry({ name, uid }: LedgerEntry): { regarding: JsonObject; namespace: string } {
  const regarding = { apiVersion: LEDGER_API_VERSION, kind: LEDGER_KIND, name, uid };
  return { regarding, namespace: "" };
}

/** A name as kubectl's are: the object's, and something that is never the same. */
function newRef({ regarding, namespace }: Telling): ObjectRef {
  const unique = createHash("sha256").update(crypto.randomUUID()).digest("hex").slice(0, 16);
  const name = `${String(regarding["name"]).slice(0, 200)}.${unique}`;
  // What belongs to no namespace is told in this one.
  return { type: EVENTS, namespace: namespace || "default", name };
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Turns for AppliedManifestWorks themselves: those that somebody deletes by hand, and those without a work. */

import type { KeyedQueue } from "../keyed_queue.ts";
import type { Logger } from "../log.ts";
import { type Follower, followScope } from "./follow.ts";
import type { Kube } from "./kube_api.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { Works } from "./receive.ts";
import type { Reconciler } from "./reconcile.ts";
import { workOf } from "./unclaimed.ts";
import { metadataOf } from "./work.ts";

/** The keys of turns that are about an AppliedManifestWork and no work. */
const ENTRY_PREFIX = "entry:";
const POLL_MS = 5_000;

/** The key of an entry's own turn. */
export function entryKey(entry: LedgerEntry): string {
  return ENTRY_PREFIX + entry.name;
}

/** One turn of the queue: of a work, or of an AppliedManifestWork that is deleted or marked and has none. */
export async function takeTurn(
  key: string,
  ledger: Ledger,
  reconciler: Reconciler,
): Promise<number | undefined> {
  if (!key.startsWith(ENTRY_PREFIX)) return await reconciler.reconcile(key);
  const entry = ledger.named(key.slice(ENTRY_PREFIX.length));
  if (entry === undefined) return undefined;
  if (!entry.isDeleting) {
    // A Go agent that comes back must not find its hour already over.
    await ledger.endEviction(entry);
    return undefined;
  }
  return await reconciler.finalise(entry) ? undefined : POLL_MS;
}

/** Notices when somebody deletes an AppliedManifestWork by hand. */
export function followLedger(
  kube: Kube,
  { ledger, works, passes }: { ledger: Ledger; works: Works; passes: KeyedQueue },
  options: { pollMs: number; log: Logger },
): AsyncDisposable {
  const wake = (entry: LedgerEntry | undefined) => {
    if (entry === undefined) return;
    const work = entry.isOwn ? workOf(works, entry) : undefined;
    passes.add(work?.uid ?? entryKey(entry));
  };
  let unseen = new Set<LedgerEntry>();
  const follower: Follower = {
    begin() {
      unseen = new Set(ledger.all());
    },
    // Gone while nobody watched. Nothing lives for long with an owner that is no more: its work makes another.
    complete() {
      for (const { name, uid } of unseen) wake(ledger.lose({ metadata: { name, uid } }));
      unseen.clear();
    },
    changed(object) {
      const { name, uid } = metadataOf(object);
      const entry = ledger.named(String(name));
      if (entry !== undefined && entry.uid === uid) unseen.delete(entry);
      wake(ledger.observe(object));
    },
    deleted: (object) => wake(ledger.lose(object)),
    poll: () => Promise.resolve(),
  };
  const scope = { type: ledger.type, namespace: "", name: "", metadataOnly: true };
  return followScope(kube, scope, follower, options);
}

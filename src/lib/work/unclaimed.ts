/**
 * AppliedManifestWorks of which the server has not spoken in this life.
 *
 * Their works may have been deleted while no agent ran, or belong to an agent of another kind, or the server has lost
 * them. Which it is cannot be seen from here, so they stay, however long it takes (decision 0038). The server is asked
 * about them by name, as about anything that is held; what it knows to be deleted, it says. What is left is told.
 */

import type { Logger } from "../log.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { Works } from "./receive.ts";
import { hasWord, type Work } from "./work.ts";

/** A server with many works takes its time to answer. */
const TOLD_AFTER_MS = 60_000;
const SHOWN_MAX = 10;

/** Only such names can be ids of resources; peers' servers would take any other for one that is gone. */
const RESOURCE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The work that an entry is of. */
export function workOf(works: Works, { workName, workUid }: LedgerEntry): Work | undefined {
  const work = works.get(workUid ?? workName);
  return work?.name === workName ? work : undefined;
}

/** The ids that a server is asked about besides those of the works: it deletes those that it knows to be deleted. */
export function unclaimedIds(ledger: Ledger, works: Works): string[] {
  return [...ledger.all()]
    .filter((entry) => entry.isOwn && !entry.isDeleting && RESOURCE_ID.test(entry.workName))
    .map(({ workName }) => workName)
    .filter((id) => !works.has(id));
}

/** Entries whose work the server has neither sent nor deleted. */
export function unclaimedEntries(ledger: Ledger, works: Works): LedgerEntry[] {
  const claimed = new Set(
    [...works.values()]
      .filter(hasWord)
      .map(({ name }) => name),
  );
  return [...ledger.all()].filter(({ workName, isDeleting, isOwn }) =>
    !isDeleting && (!isOwn || !claimed.has(workName))
  );
}

export interface UnclaimedTeller extends Disposable {
  /** Counts a while after the connection, and says what is left then. */
  connected(): void;
}

/** Tells operators what stays and how to remove it: once after each connection, if it is something else than before. */
export function tellUnclaimed(
  { ledger, works, strangers }: {
    ledger: Ledger;
    works: Works;
    strangers: Map<string, string[]>;
  },
  log: Logger,
  afterMs: number = TOLD_AFTER_MS,
): UnclaimedTeller {
  let timer: Timer | undefined;
  let told = "";
  const tell = () => {
    const names = unclaimedEntries(ledger, works).map(({ name }) => name).sort();
    const text = names.join();
    if (names.length > 0 && text !== told) {
      log.warn("nobody has sent the works of some AppliedManifestWorks; they stay", {
        count: names.length,
        names: names.slice(0, SHOWN_MAX),
        remedy: "kubectl delete appliedmanifestwork <name> deletes one and its objects",
      });
    }
    told = text;
    tellStrangers(works, strangers, log);
  };
  return {
    connected() {
      clearTimeout(timer);
      timer = setTimeout(tell, afterMs);
      timer.unref();
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/**
 * Tells of works that another agent has applied as well: with two owners their objects outlive them.
 *
 * After a change of the server's address that other agent was this one.
 */
function tellStrangers(works: Works, strangers: Map<string, string[]>, log: Logger): void {
  const applied = new Set([...works.values()].map(({ name }) => name));
  for (const [agent, names] of strangers) {
    const both = names.filter((name) => applied.has(name));
    if (both.length === 0) continue;
    log.warn("objects of some works have a second owner, and will not be deleted with them", {
      count: both.length,
      works: both.slice(0, SHOWN_MAX),
      remedy: `if the server's address has changed, --agent-id=${agent} takes them over`,
    });
  }
  // It was so at the start, and is said once.
  strangers.clear();
}

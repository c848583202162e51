/**
 * Ends AppliedManifestWorks of the same works under a former hub name, once the works own their objects under this one.
 *
 * Nothing is deleted: an object that the work still has gets rid of its former owner, and what it no longer has stays with
 * the former one, for an operator to decide.
 */

import type { Kube } from "./kube_api.ts";
import { type AppliedResource, type Ledger, type LedgerEntry, ownerReference } from "./ledger.ts";
import { releaseResource } from "./prune.ts";
import type { Work } from "./work.ts";

/** Takes over what the predecessors of a work list. Does nothing for a work that is not applied as a whole. */
export async function releasePredecessors(
  { kube, ledger }: { kube: Kube; ledger: Ledger },
  work: Work,
  entry: LedgerEntry,
): Promise<void> {
  const applied = work.conditions.find(({ type }) => type === "Applied");
  if (applied?.status !== "True" || applied.observedGeneration !== work.version) return;
  for (const former of ledger.predecessors(work.name)) {
    if (former.isDeleting) continue;
    const left: AppliedResource[] = [];
    for (const resource of former.resources) {
      const isTaken = entry.resources.some((own) => isSame(own, resource));
      if (isTaken) await releaseResource(kube, resource, ownerReference(former));
      else left.push(resource);
    }
    await ledger.writeResources(former, left);
    if (left.length > 0) continue;
    await ledger.startDeletion(former);
    await ledger.release(former);
  }
}

function isSame(own: AppliedResource, former: AppliedResource): boolean {
  return own.uid !== "" && own.group === former.group && own.resource === former.resource &&
    own.namespace === former.namespace && own.name === former.name;
}

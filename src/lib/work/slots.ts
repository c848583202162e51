/** Lines up the manifests of a new spec with what is known of those of the old one. */

import type { Condition, ResourceMeta } from "../wire/work_status.ts";
import type { Slot } from "./work.ts";

/**
 * Returns one slot for each meta.
 *
 * A manifest that was there before keeps its slot: the one with the same place, else the only one with the
 * same identity. So it keeps its conditions and their times when others move around it.
 */
export function alignSlots(old: readonly Slot[], metas: readonly ResourceMeta[]): Slot[] {
  const byKey = Map.groupBy(old, ({ meta }) => keyOf(meta));
  return metas.map((meta) => {
    // A namespace that a cluster-scoped kind cannot have was dropped when its place was found.
    const key = [meta, { ...meta, namespace: "" }].map(keyOf).find((key) => byKey.has(key));
    const found = byKey.get(key ?? "") ?? [];
    const same = found.find((slot) => slot.meta.ordinal === meta.ordinal) ??
      (found.length === 1 ? found[0] : undefined);
    if (same === undefined) return newSlot(meta);
    // A slot has one owner, even if a spec names an object twice.
    byKey.set(keyOf(same.meta), found.filter((slot) => slot !== same));
    return { ...same, meta, conditions: [...same.conditions] as Condition[] };
  });
}

function newSlot(meta: ResourceMeta): Slot {
  return { meta, conditions: [], values: [], isDrifted: false, isKnown: false };
}

// Without the resource: discovery may not have told it yet when the slot was made.
function keyOf({ group, version, kind, namespace, name }: ResourceMeta): string {
  return [group, version, kind, namespace, name].join("\u0000");
}

/**
 * Chooses what to watch: as little as possible through as few connections as possible.
 *
 * One name is the cheapest stream, since nothing of others passes through it, but each stream takes a connection. So
 * a namespace is watched as a whole where many of its names are wanted, and all namespaces where a type is wanted in
 * very many. What is wide carries metadata only, unless most of what is there is wanted whole. Pure.
 */

import type { Scope } from "./follow.ts";
import type { ResourceType } from "./kube_api.ts";

/** The names wanted of one type, by namespace; the value says whether metadata is not enough. */
export interface TypeWants {
  type: ResourceType;
  namespaces: ReadonlyMap<string, ReadonlyMap<string, { isWhole: boolean }>>;
}

export interface ScopeLimits {
  /** Streams at once. */
  streamsMax: number;
  /** Names of one type and namespace that are watched one by one. */
  namesMax: number;
}

/** What is known of scopes from watching them. */
export interface ScopeKnowledge {
  /** True if the scope is open now: it is given up only where it is clearly too wide. */
  isOpen: (key: string) => boolean;
  /** True if we may not watch it. */
  isForbidden: (key: string) => boolean;
  /** How many objects it had; undefined if it was not watched yet. */
  sizeOf: (key: string) => number | undefined;
}

/** Who may read Secrets one by one does not read all of them because it is quicker. */
const NEVER_WHOLE = new Set(["/secrets"]);
/** A wide stream carries whole objects if at least this part of them is wanted whole. */
const WHOLE_SHARE = 0.5;

/** Names one place to watch, whatever is read there. */
export function placeKey({ type, namespace, name }: Omit<Scope, "metadataOnly">): string {
  return `${type.group}/${type.version}/${type.resource}/${namespace}/${name}`;
}

/** One group of names that share their type and namespace. */
interface Group {
  type: ResourceType;
  namespace: string;
  names: ReadonlyMap<string, { isWhole: boolean }>;
  isWide: boolean;
  mayBeWide: boolean;
}

/** What to watch, by place; and what has no place and must be polled. */
export interface Plan {
  scopes: Map<string, Scope>;
  polled: Omit<Scope, "metadataOnly">[];
}

/** Chooses the scopes for what is wanted. */
export function planScopes(
  wants: Iterable<TypeWants>,
  knowledge: ScopeKnowledge,
  { streamsMax, namesMax }: ScopeLimits,
): Plan {
  const types = [...wants].map(({ type, namespaces }) => ({
    type,
    isEverywhere: false,
    groups: [...namespaces].map(([namespace, names]): Group => {
      const key = placeKey({ type, namespace, name: "" });
      const mayBeWide = !knowledge.isForbidden(key);
      // Half of the limit before it is narrow again, so that one name more or less does not change it each time.
      const limit = knowledge.isOpen(key) ? namesMax / 2 : namesMax;
      return { type, namespace, names, mayBeWide, isWide: mayBeWide && names.size > limit };
    }),
  }));
  let count = types.reduce((sum, { groups }) => sum + countOf(groups), 0);

  const narrow = types.flatMap(({ groups }) => groups)
    .filter((group) => !group.isWide && group.mayBeWide && group.names.size > 1)
    .sort((a, b) => b.names.size - a.names.size);
  for (const group of narrow) {
    if (count <= streamsMax) break;
    group.isWide = true;
    count -= group.names.size - 1;
  }
  const spread = types
    .filter(({ type, groups }) =>
      type.isNamespaced && groups.length > 1 &&
      !knowledge.isForbidden(placeKey({ type, namespace: "", name: "" }))
    )
    .sort((a, b) => countOf(b.groups) - countOf(a.groups));
  for (const each of spread) {
    if (count <= streamsMax) break;
    each.isEverywhere = true;
    count -= countOf(each.groups) - 1;
  }
  return chosen(types, knowledge, streamsMax);
}

function chosen(
  types: { type: ResourceType; isEverywhere: boolean; groups: Group[] }[],
  knowledge: ScopeKnowledge,
  streamsMax: number,
): Plan {
  const plan: Plan = { scopes: new Map(), polled: [] };
  const add = (scope: Scope) => {
    if (plan.scopes.size < streamsMax) plan.scopes.set(placeKey(scope), scope);
    else plan.polled.push(scope);
  };
  const addWide = (type: ResourceType, namespace: string, groups: readonly Group[]) => {
    const place = { type, namespace, name: "" };
    add({
      ...place,
      metadataOnly: !isMostlyWhole(groups, type, knowledge.sizeOf(placeKey(place))),
    });
  };
  for (const { type, isEverywhere, groups } of types) {
    if (isEverywhere) {
      addWide(type, "", groups);
      continue;
    }
    for (const group of groups) {
      const { namespace, names, isWide } = group;
      if (isWide) addWide(type, namespace, [group]);
      else {for (const [name, { isWhole }] of names) {
          add({ type, namespace, name, metadataOnly: !isWhole });
        }}
    }
  }
  return plan;
}

function countOf(groups: readonly Group[]): number {
  return groups.reduce((sum, { isWide, names }) => sum + (isWide ? 1 : names.size), 0);
}

function isMostlyWhole(
  groups: readonly Group[],
  type: ResourceType,
  size: number | undefined,
): boolean {
  if (size === undefined || NEVER_WHOLE.has(`${type.group}/${type.resource}`)) return false;
  let whole = 0;
  for (const { names } of groups) for (const { isWhole } of names.values()) if (isWhole) whole++;
  return whole > 0 && whole >= size * WHOLE_SHARE;
}

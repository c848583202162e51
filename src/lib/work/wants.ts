/** Which objects the works want to hear about, and which work wants which. */

import type { ObjectRef, ResourceType } from "./kube_api.ts";
import { placeKey, type TypeWants } from "./scopes.ts";

/** One object that a work wants to hear about. */
export interface Interest {
  ref: ObjectRef;
  /** Rules read its spec or status, so metadata is not enough. */
  isWhole: boolean;
  /** The owner has to be told how it is now, even if it is watched already. */
  isSought?: boolean;
}

/** One object that somebody wants. */
export interface Wanted {
  readonly ref: ObjectRef;
  /** Whether metadata is not enough, for each owner. */
  readonly owners: Map<string, boolean>;
  isWhole: boolean;
  /** When it was read last by itself. */
  readAtMs: number;
  /** Somebody has to be told how it is now. */
  isSought: boolean;
}

export interface Wants {
  /** Replaces what an owner wants; true if that changes what is wanted altogether. */
  replace(owner: string, interests: readonly Interest[]): boolean;
  get(type: ResourceType, namespace: string, name: string): Wanted | undefined;
  /** Everything wanted within a type, a namespace or a name; empty texts are any. */
  within(type: ResourceType, namespace: string, name: string): Iterable<Wanted>;
  types(): Iterable<TypeWants>;
}

type Namespaces = Map<string, Map<string, Wanted>>;

/** Creates a list on which nothing is. */
export function createWants(): Wants {
  const types = new Map<string, { type: ResourceType; namespaces: Namespaces }>();
  const owned = new Map<string, Map<string, Interest>>();

  const add = (owner: string, { ref, isWhole, isSought = false }: Interest): boolean => {
    const key = typeKey(ref.type);
    const { namespaces } = types.get(key) ?? { namespaces: new Map() as Namespaces };
    types.set(key, { type: ref.type, namespaces });
    const names = namespaces.get(ref.namespace) ?? new Map<string, Wanted>();
    namespaces.set(ref.namespace, names);
    const found = names.get(ref.name);
    const wanted = found ??
      { ref, owners: new Map(), isWhole: false, readAtMs: -Infinity, isSought: false };
    names.set(ref.name, wanted);
    wanted.owners.set(owner, isWhole);
    wanted.isSought ||= isSought;
    return weigh(wanted) || found === undefined;
  };

  const remove = (owner: string, { ref }: Interest): boolean => {
    const key = typeKey(ref.type);
    const namespaces = types.get(key)?.namespaces;
    const names = namespaces?.get(ref.namespace);
    const wanted = names?.get(ref.name);
    if (namespaces === undefined || names === undefined || wanted === undefined) return false;
    wanted.owners.delete(owner);
    if (wanted.owners.size > 0) return weigh(wanted);
    names.delete(ref.name);
    if (names.size === 0) namespaces.delete(ref.namespace);
    if (namespaces.size === 0) types.delete(key);
    return true;
  };

  return {
    replace(owner, interests) {
      const before = owned.get(owner) ?? new Map<string, Interest>();
      const now = new Map<string, Interest>();
      for (const interest of interests) {
        const key = placeKey(interest.ref);
        const isWhole = interest.isWhole || now.get(key)?.isWhole === true;
        now.set(key, { ...interest, isWhole });
      }
      let isChanged = false;
      for (const [key, interest] of now) {
        if (before.get(key)?.isWhole !== interest.isWhole) {
          isChanged = add(owner, interest) || isChanged;
        }
      }
      for (const [key, interest] of before) {
        if (!now.has(key)) isChanged = remove(owner, interest) || isChanged;
      }
      if (now.size > 0) owned.set(owner, now);
      else owned.delete(owner);
      return isChanged;
    },
    get: (type, namespace, name) => types.get(typeKey(type))?.namespaces.get(namespace)?.get(name),
    *within(type, namespace, name) {
      const namespaces: Namespaces = types.get(typeKey(type))?.namespaces ?? new Map();
      if (name !== "") {
        const wanted = namespaces.get(namespace)?.get(name);
        if (wanted !== undefined) yield wanted;
        return;
      }
      for (const [place, names] of namespaces) {
        if (namespace === "" || place === namespace) yield* names.values();
      }
    },
    types: () => types.values(),
  };
}

/** Works out whether somebody wants more than metadata; true if that is new. */
function weigh(wanted: Wanted): boolean {
  const before = wanted.isWhole;
  wanted.isWhole = [...wanted.owners.values()].some((isWhole) => isWhole);
  return wanted.isWhole !== before;
}

function typeKey({ group, version, resource }: ResourceType): string {
  return `${group}/${version}/${resource}`;
}

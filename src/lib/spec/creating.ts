/** Creates of one id at the same time: who comes while one is under way need not ask the database. */

import { alreadyExists } from "./refusals.ts";

/** Runs a create, or refuses it because one of the same id has just succeeded. */
export type CreateFirst = <T>(id: string, create: () => Promise<T>) => Promise<T>;

/** Returns a function that lets one create of an id run at a time. When it succeeds, all that wait are refused. */
export function createFirstOnly(): CreateFirst {
  const underWay = new Map<string, Promise<boolean>>();
  return async (id, create) => {
    for (let first = underWay.get(id); first !== undefined; first = underWay.get(id)) {
      if (await first) throw alreadyExists();
    }
    const created = create();
    const hasSucceeded = created.then(() => true, () => false);
    underWay.set(id, hasSucceeded);
    try {
      return await created;
    } finally {
      underWay.delete(id);
    }
  };
}

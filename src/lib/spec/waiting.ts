/** Finds which of the consumers that are connected here have something waiting. */

import type { Here } from "./publish.ts";

type Named = { consumer_name: string };

/** Steps along an index: two milliseconds at most. */
const FEW = 200;

/**
 * Resolves to those who are here and have something waiting.
 *
 * Mostly next to nobody has, however many are connected: then a few steps along an index tell it, where a statement with
 * ten thousand names, every second, would look each of them up. Only if more have something waiting, which may all be
 * connected elsewhere or nowhere, is it asked about those who are here.
 */
export async function waitingOf(
  here: Here,
  { first, among }: {
    /** So many that have something waiting, of all consumers. */
    first: (count: number) => Promise<Named[]>;
    /** Those of the names that have. */
    among: (names: string[]) => Promise<Named[]>;
  },
): Promise<string[]> {
  const named = (rows: Named[]) => rows.map(({ consumer_name }) => consumer_name);
  const found = named(await first(FEW));
  if (found.length < FEW) return found.filter((name) => here.has(name));
  const names = [...here.keys()];
  return names.length === 0 ? [] : named(await among(names));
}

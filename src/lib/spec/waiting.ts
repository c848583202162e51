/** Finds which of the consumers that are connected here have something waiting. */

import type { Here } from "./publish.ts";

type Named = { consumer_name: string };

/** Fewer are asked about by name at once. */
const ASKED_MIN = 100;
/** A tenth of the names: so many steps along the index cost little beside asking about each. */
const SHARE = 10;

/**
 * Resolves to those of the names that have something waiting.
 *
 * Mostly next to nobody has, however many are connected: then a few steps along an index tell it, where a statement with
 * ten thousand names, every second, would look each of them up. Only if more have something waiting, which may all be
 * connected elsewhere or nowhere, is it asked about those who are here.
 */
export async function waitingOf(
  here: Here,
  names: readonly string[],
  { first, among }: {
    /** So many that have something waiting, of all consumers. */
    first: (count: number) => Promise<Named[]>;
    /** Those of the names that have. */
    among: () => Promise<Named[]>;
  },
): Promise<string[]> {
  if (names.length === 0) return [];
  const named = (rows: Named[]) => rows.map(({ consumer_name }) => consumer_name);
  if (names.length < ASKED_MIN) return named(await among());
  const count = Math.ceil(names.length / SHARE);
  const found = await first(count);
  return found.length < count
    ? named(found).filter((name) => here.has(name))
    : named(await among());
}

/** Cuts a list of rows into parts that are read and sent at once. */

/** What a portion may hold. A single row always makes one, however large it is. */
export interface PortionLimits {
  countMax: number;
  /** Of what the rows take on disk, which is known without reading them; in memory it is some times as much. */
  storedBytesMax: number;
  /** The first may hold so much, and each one after it twice as much: it is soon there. */
  firstBytesMax?: number;
}

/** The ids of the rows, in their order, portion by portion. */
export function* portions(
  rows: Iterable<{ id: string; stored_bytes: number }>,
  { countMax, storedBytesMax, firstBytesMax = storedBytesMax }: PortionLimits,
): Generator<string[]> {
  let ids: string[] = [];
  let bytes = 0;
  let bytesMax = firstBytesMax;
  for (const { id, stored_bytes } of rows) {
    const isFull = ids.length === countMax || bytes + stored_bytes > bytesMax;
    if (ids.length > 0 && isFull) {
      yield ids;
      [ids, bytes] = [[], 0];
      bytesMax = Math.min(storedBytesMax, bytesMax * 2);
    }
    ids.push(id);
    bytes += stored_bytes;
  }
  if (ids.length > 0) yield ids;
}

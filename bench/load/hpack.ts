/**
 * The headers of answers, as much of HPACK (RFC 7541) as tells whether one is there. Texts stay as they are written:
 * plain, or in HPACK's own code.
 */

export interface Header {
  /** Undefined for those of the static table, of which none is looked for. */
  name: Buffer | undefined;
  value: Buffer;
}

const STATIC_COUNT = 61;
/** More than servers keep; they count from the newest, so an older one does no harm. */
const KEPT_MAX = 256;
const INDEXED = 0x80;
const KEPT = 0x40;
const SIZE_UPDATE = 0x20;
const NOTHING = Buffer.alloc(0);

/** Makes a reader of all header blocks of a connection; it must get each of them, in order. */
export function createHeaderReader(): (block: Buffer) => Header[] {
  const kept: Header[] = [];
  const known = (index: number): Header =>
    kept[index - STATIC_COUNT - 1] ?? { name: undefined, value: NOTHING };

  return (block) => {
    const headers: Header[] = [];
    let at = 0;
    /** An integer whose first byte has so many bits for it. */
    const integer = (bits: number): number => {
      const most = (1 << bits) - 1;
      let value = (block[at++] ?? 0) & most;
      if (value < most) return value;
      for (let shift = 0;; shift += 7) {
        const byte = block[at++] ?? 0;
        value += (byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
    };
    const text = (): Buffer => {
      const size = integer(7);
      at += size;
      return block.subarray(at - size, at);
    };
    while (at < block.length) {
      const first = block[at] ?? 0;
      if ((first & INDEXED) !== 0) headers.push(known(integer(7)));
      else if ((first & (KEPT | SIZE_UPDATE)) === SIZE_UPDATE) integer(5);
      else {
        const isKept = (first & KEPT) !== 0;
        const index = integer(isKept ? 6 : 4);
        const name = index === 0 ? text() : known(index).name;
        const header = { name, value: text() };
        headers.push(header);
        if (isKept && kept.unshift(header) > KEPT_MAX) kept.pop();
      }
    }
    return headers;
  };
}

/**
 * Header blocks (RFC 7541), read with all that peers may do in them, and written in the plainest way.
 *
 * What we write refers to the static table alone and keeps nothing, so a block that never changes is made once. Of a peer's
 * SETTINGS_HEADER_TABLE_SIZE only the answer concerns us.
 */

import { CODE, Http2Error } from "./frames.ts";
import { decodeHuffman } from "./huffman.ts";
import { STATIC_TABLE } from "./static_table.ts";

type Field = readonly [name: string, value: string];

/**
 * Reads a block, and hands out its fields in order. True if the block has changed what later ones refer to. Throws
 * COMPRESSION_ERROR, after which no other block can be read.
 */
export type DecodeBlock = (block: Buffer, take: (name: string, value: string) => void) => boolean;

/** What both ends let each other keep: SETTINGS_HEADER_TABLE_SIZE by default. */
export const TABLE_BYTES_MAX = 4096;
/** What an entry counts beside its texts (§4.1). */
const ENTRY_BYTES = 32;

const INDEXED = 0x80;
const KEPT = 0x40;
const SIZE_UPDATE = 0x20;
const CODED = 0x80;
/** Of an integer's continuation: four bytes of seven bits, more than any length that a block can have (§5.1). */
const SHIFT_MAX = 21;

/** Makes a reader for the blocks of one direction of a connection. It must get each of them, in order. */
export function createBlockDecoder(): DecodeBlock {
  /** The newest is last. */
  const table: Field[] = [];
  let tableBytes = 0;
  let tableBytesMax = TABLE_BYTES_MAX;
  let block: Buffer = Buffer.alloc(0);
  let at = 0;

  const evict = (bytesMax: number) => {
    while (tableBytes > bytesMax) tableBytes -= sizeOf(table.shift());
  };
  const keep = (field: Field) => {
    // One that is larger than the table leaves it empty, and is no error (§4.4).
    evict(Math.max(0, tableBytesMax - sizeOf(field)));
    if (sizeOf(field) > tableBytesMax) return;
    tableBytes += sizeOf(field);
    table.push(field);
  };
  const known = (index: number): Field => {
    const field = index > STATIC_TABLE.length
      ? table[table.length - (index - STATIC_TABLE.length)]
      : STATIC_TABLE[index - 1];
    if (field === undefined) throw refusal(`no header has the index ${index}`);
    return field;
  };
  const nextByte = (): number => {
    const byte = block[at++];
    if (byte === undefined) throw refusal("a header block is cut off");
    return byte;
  };
  /** The rest of an integer whose first byte has a prefix of so many bits. */
  const integer = (first: number, bits: number): number => {
    const most = (1 << bits) - 1;
    let value = first & most;
    if (value < most) return value;
    for (let shift = 0; shift <= SHIFT_MAX; shift += 7) {
      const byte = nextByte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw refusal("a header block has a number that is too large");
  };
  const text = (): string => {
    const first = nextByte();
    const size = integer(first, 7);
    const from = at;
    at += size;
    if (at > block.length) throw refusal("a header block is cut off");
    if ((first & CODED) !== 0) return decodeHuffman(block, from, at);
    return block.toString("latin1", from, at);
  };
  const resize = (bytesMax: number) => {
    if (bytesMax > TABLE_BYTES_MAX) throw refusal(`a table of ${bytesMax} bytes is too large`);
    tableBytesMax = bytesMax;
    evict(bytesMax);
  };

  return (given, take) => {
    [block, at] = [given, 0];
    let isBegun = false;
    let hasChanged = false;
    while (at < block.length) {
      const first = nextByte();
      if ((first & INDEXED) !== 0) {
        const [name, value] = known(integer(first, 7));
        take(name, value);
      } else if ((first & (KEPT | SIZE_UPDATE)) === SIZE_UPDATE) {
        // Only at the start of a block (§4.2).
        if (isBegun) throw refusal("the size of the table changes within a header block");
        resize(integer(first, 5));
        hasChanged = true;
        continue;
      } else {
        const isKept = (first & KEPT) !== 0;
        const index = integer(first, isKept ? 6 : 4);
        const name = index === 0 ? text() : known(index)[0];
        const value = text();
        if (isKept) keep([name, value]);
        hasChanged ||= isKept;
        take(name, value);
      }
      isBegun = true;
    }
    return hasChanged;
  };
}

function sizeOf(field: Field | undefined): number {
  return field === undefined ? 0 : field[0].length + field[1].length + ENTRY_BYTES;
}

function refusal(message: string): Http2Error {
  return new Http2Error(CODE.compressionError, message);
}

/** Goes before the first block after the peer has made its table smaller (RFC 9113 §4.3.1); some peers refuse one without it. */
export const EMPTY_TABLE = Buffer.from([SIZE_UPDATE]);

/** Makes a block of these fields. Texts are of Latin-1. */
export function encodeBlock(fields: readonly Field[]): Buffer {
  const bytes: number[] = [];
  for (const [name, value] of fields) {
    const whole = STATIC_TABLE.findIndex(([known, is]) => known === name && is === value);
    if (whole !== -1) {
      writeInteger(bytes, INDEXED, 7, whole + 1);
      continue;
    }
    // Literal without indexing (§6.2.2).
    const index = STATIC_TABLE.findIndex(([known]) => known === name) + 1;
    writeInteger(bytes, 0, 4, index);
    if (index === 0) writeText(bytes, name);
    writeText(bytes, value);
  }
  return Buffer.from(bytes);
}

function writeText(bytes: number[], text: string): void {
  writeInteger(bytes, 0, 7, text.length);
  for (const byte of Buffer.from(text, "latin1")) bytes.push(byte);
}

function writeInteger(bytes: number[], flags: number, bits: number, value: number): void {
  const most = (1 << bits) - 1;
  if (value < most) return void bytes.push(flags | value);
  bytes.push(flags | most);
  let rest = value - most;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
}

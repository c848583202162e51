/** Texts in HPACK's code (RFC 7541 §5.2), decoded four bits at a time. */

import { CODE, Http2Error } from "./frames.ts";

/**
 * How many bits each byte has, from 0 to 255, and the end of string (Appendix B). The code is canonical: codes of one length
 * count upwards with the byte, and go on from those that are one bit shorter. So the lengths say it all.
 */
const BITS = [
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  ...[5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  ...[6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  ...[24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  ...[22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  ...[21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  ...[26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  ...[20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  ...[26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  30,
];
const END_OF_STRING = 256;
const BITS_MAX = 30;

/** In a step of the table: the next state, whether a byte has come, that byte. */
const HAS_BYTE = 0x1_0000;
const BYTE_SHIFT = 20;
const STATE_MASK = 0xffff;
const REFUSED = 0xffff;

const { STEPS, MAY_END } = buildTable();

/** Decodes what lies between two places of a buffer. Throws COMPRESSION_ERROR for what is no text. */
export function decodeHuffman(bytes: Buffer, from: number, end: number): string {
  // The shortest code has five bits.
  const decoded = Buffer.allocUnsafe(Math.ceil((end - from) * 8 / 5));
  let size = 0;
  let state = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const first = STEPS[state * 16 + (byte >> 4)] ?? REFUSED;
    if ((first & STATE_MASK) === REFUSED) throw refusal();
    if ((first & HAS_BYTE) !== 0) decoded[size++] = first >>> BYTE_SHIFT;
    const second = STEPS[(first & STATE_MASK) * 16 + (byte & 0xf)] ?? REFUSED;
    if ((second & STATE_MASK) === REFUSED) throw refusal();
    if ((second & HAS_BYTE) !== 0) decoded[size++] = second >>> BYTE_SHIFT;
    state = second & STATE_MASK;
  }
  if (MAY_END[state] !== 1) throw refusal();
  return decoded.toString("latin1", 0, size);
}

function refusal(): Http2Error {
  return new Http2Error(CODE.compressionError, "a header has a wrong code");
}

/** A binary tree whose inner nodes are the states; it may end where the bits so far are the first, at most 7, of the end. */
function buildTable(): { STEPS: Uint32Array; MAY_END: Uint8Array } {
  const tree = buildTree();
  const steps = new Uint32Array(tree.length * 16);
  for (let state = 0; state < tree.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      steps[state * 16 + nibble] = step(tree, state, nibble);
    }
  }
  const mayEnd = new Uint8Array(tree.length);
  for (let state = 0, bits = 0; bits < 8; bits++) {
    mayEnd[state] = 1;
    state = tree[state]?.[1] ?? 0;
  }
  return { STEPS: steps, MAY_END: mayEnd };
}

/** Positive: an inner node. Negative: a byte, as its complement. */
type Node = [number, number];

function buildTree(): Node[] {
  const tree: Node[] = [[0, 0]];
  let code = 0;
  for (let bits = 1; bits <= BITS_MAX; bits++, code *= 2) {
    for (let byte = 0; byte <= END_OF_STRING; byte++) {
      if (BITS[byte] !== bits) continue;
      let node = 0;
      for (let bit = bits - 1; bit >= 0; bit--) {
        const side = (code >>> bit) & 1;
        const branch = tree[node] as Node;
        if (bit === 0) branch[side] = ~byte;
        else if (branch[side] === 0) branch[side] = tree.push([0, 0]) - 1;
        node = branch[side] ?? 0;
      }
      code++;
    }
  }
  return tree;
}

function step(tree: Node[], from: number, nibble: number): number {
  let [state, byte] = [from, -1];
  for (let bit = 3; bit >= 0; bit--) {
    const next = tree[state]?.[((nibble >> bit) & 1) as 0 | 1] ?? 0;
    if (next >= 0) {
      state = next;
      continue;
    }
    // The end of string must not appear (§5.2).
    if (~next === END_OF_STRING) return REFUSED;
    [state, byte] = [0, ~next];
  }
  return state | (byte < 0 ? 0 : HAS_BYTE | (byte << BYTE_SHIFT));
}

/**
 * Writes the wire format of protobuf into a buffer that grows and is used again and again.
 *
 * What is inside of something is written before anybody knows how long it is: `begin` keeps a byte for the length, and
 * `end` makes room for more if it takes more.
 */

/** Attributes and names, as a rule. */
const FIRST_BYTES = 4 * 1024;
/** A larger buffer is let go again. */
const KEPT_BYTES_MAX = 64 * 1024;
/** UTF-8 of one unit of UTF-16. */
const UNIT_BYTES_MAX = 3;
const VARINT_BYTES_MAX = 10;

/** A message that is being written. */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = 0;

  /** Starts anew. */
  reset(): void {
    this.#at = 0;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** What was written, until the next `reset`. */
  written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /** A tag or a number that is not negative. */
  uint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    while (value > 0x7f) {
      // No shift: seconds have more than 32 bits.
      this.#bytes[this.#at++] = value % 0x80 | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#at++] = value;
  }

  /** An integer that a double has exactly. Negative ones take ten bytes. */
  int(value: number): void {
    if (value >= 0) return this.uint(value);
    this.#reserve(VARINT_BYTES_MAX);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#at++] = Number(rest);
  }

  text(tag: number, text: string): void {
    this.uint(tag);
    const from = this.begin();
    this.#reserve(text.length * UNIT_BYTES_MAX);
    this.#at += this.#bytes.write(text, this.#at, "utf8");
    this.end(from);
  }

  bytes(tag: number, bytes: Uint8Array): void {
    this.uint(tag);
    this.uint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Begins what has its length before it; `end` wants what it returns. */
  begin(): number {
    this.#reserve(1);
    return ++this.#at;
  }

  end(from: number): void {
    const length = this.#at - from;
    if (length <= 0x7f) {
      this.#bytes[from - 1] = length;
      return;
    }
    const more = varintBytes(length) - 1;
    this.#reserve(more);
    this.#bytes.copyWithin(from + more, from, this.#at);
    this.#at = from - 1;
    this.uint(length);
    this.#at += length;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

/** What a number that is not negative takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (; value > 0x7f; value = Math.floor(value / 0x80)) bytes++;
  return bytes;
}

/** Writes a number that is not negative to its place. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): void {
  for (; value > 0x7f; value = Math.floor(value / 0x80)) bytes[at++] = value % 0x80 | 0x80;
  bytes[at] = value;
}

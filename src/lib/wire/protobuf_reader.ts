/**
 * Reads the wire format of protobuf: numbers, texts and bytes, one after the other.
 *
 * As lenient as protobuf-es, against which it is tested: of a field that is known only its number is looked at.
 */

/** Groups in groups; nobody sends one. */
const GROUPS_MAX = 90;

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED_32 = 5;

const REPLACEMENT = "\ufffd";
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A place in a message. Its methods throw an `Error` on what is no protobuf. */
export class ProtobufReader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The number of the field that begins here, with its wire type in the three low bits. */
  tag(): number {
    const from = this.at;
    const tag = this.uint32();
    const length = this.at - from;
    const isTooLarge = length > 5 || (length === 5 && this.#byte(this.at - 1) > 0x0f);
    if (isTooLarge || tag >>> 3 === 0 || (tag & 7) > FIXED_32) throw new Error("illegal tag");
    return tag;
  }

  /** Passes over the value of a field that is not known. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case VARINT:
        while (this.#byte(this.at++) & 0x80);
        break;
      case FIXED_64:
        this.at += 8;
        break;
      case LENGTH_DELIMITED:
        this.at = this.end();
        break;
      case START_GROUP:
        this.#skipGroup(tag >>> 3, depth);
        break;
      case FIXED_32:
        this.at += 4;
        break;
      default:
        throw new Error("a group ends that has not begun");
    }
    this.#checkEnd();
  }

  #skipGroup(field: number, depth: number): void {
    if (depth >= GROUPS_MAX) throw new Error("too many groups in each other");
    for (;;) {
      const tag = this.tag();
      if ((tag & 7) !== END_GROUP) {
        this.skip(tag, depth + 1);
        continue;
      }
      if (tag >>> 3 !== field) throw new Error("another group ends than has begun");
      return;
    }
  }

  uint32(): number {
    let byte = this.#byte(this.at++);
    let value = byte & 0x7f;
    for (let shift = 7; (byte & 0x80) !== 0; shift += 7) {
      if (shift === 70) throw new Error("a number has no end");
      byte = this.#byte(this.at++);
      // What is beyond 32 bits is the sign of a negative number, or lost as in all languages.
      if (shift < 35) value |= (byte & 0x7f) << shift;
    }
    this.#checkEnd();
    return value >>> 0;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** As a double, which is exact up to 2^53. */
  int64(): number {
    let [low, high] = [0, 0];
    for (let shift = 0;; shift += 7) {
      if (shift === 70) throw new Error("a number has no end");
      const byte = this.#byte(this.at++);
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high = bits >> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      if ((byte & 0x80) === 0) break;
    }
    this.#checkEnd();
    return high * 2 ** 32 + (low >>> 0);
  }

  bool(): boolean {
    return this.int64() !== 0;
  }

  /** The place behind a message or an entry whose length stands here. */
  end(): number {
    const length = this.uint32();
    return this.at + length;
  }

  bytes(): Buffer {
    const end = this.end();
    const from = this.at;
    this.at = end;
    this.#checkEnd();
    return this.#bytes.subarray(from, end);
  }

  text(): string {
    const end = this.end();
    const from = this.at;
    this.at = end;
    this.#checkEnd();
    const text = this.#bytes.toString("utf8", from, end);
    // A text may have that character; what is no UTF-8 always gets it.
    if (text.includes(REPLACEMENT)) strictUtf8.decode(this.#bytes.subarray(from, end));
    return text;
  }

  /** Beyond the end there are zeros, which the check of each value then refuses. */
  #byte(at: number): number {
    return this.#bytes[at] ?? 0;
  }

  #checkEnd(): void {
    if (this.at > this.#bytes.length) throw new RangeError("it is cut off");
  }
}

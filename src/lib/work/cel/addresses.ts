/** Kubernetes' functions of IP addresses and CIDRs. */

import { func, method, type Overload } from "./functions.ts";
import { CelError, type Opaque } from "./values.ts";

const BITS = { 4: 32, 6: 128 } as const;

class Ip implements Opaque {
  readonly typeName = "net.IP";

  constructor(readonly family: 4 | 6, readonly bits: bigint) {}

  isEqual(other: unknown): boolean {
    return other instanceof Ip && other.family === this.family && other.bits === this.bits;
  }

  toString(): string {
    return this.family === 4
      ? groups(this.bits, 4, 8).join(".")
      : shorten(groups(this.bits, 8, 16));
  }

  /** True if the address begins as this one does, for so many bits. */
  isIn(prefix: Ip, length: number): boolean {
    const rest = BigInt(BITS[this.family] - length);
    return prefix.family === this.family && prefix.bits >> rest === this.bits >> rest;
  }
}

class Cidr implements Opaque {
  readonly typeName = "net.CIDR";

  constructor(readonly ip: Ip, readonly length: number) {}

  isEqual(other: unknown): boolean {
    return other instanceof Cidr && other.length === this.length && other.ip.isEqual(this.ip);
  }

  toString(): string {
    return `${this.ip}/${this.length}`;
  }
}

function groups(bits: bigint, count: number, width: number): bigint[] {
  return Array.from(
    { length: count },
    (_, index) => BigInt.asUintN(width, bits >> BigInt((count - 1 - index) * width)),
  );
}

/** The longest run of zeros becomes `::`, the first of equals (RFC 5952). */
function shorten(parts: bigint[]): string {
  const text = parts.map((part) => part.toString(16)).join(":");
  const runs = [...text.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)];
  const [best] = runs.toSorted((a, b) => b[0].length - a[0].length || a.index - b.index);
  if (best === undefined) return text;
  const [before, after] = [text.slice(0, best.index), text.slice(best.index + best[0].length)];
  return `${before.replace(/:$/, "")}::${after.replace(/^:/, "")}`;
}

function parseIp(text: string): Ip | undefined {
  if (text.includes(":")) {
    const bits = parse6(text);
    // Kubernetes refuses an IPv4 address in the clothes of an IPv6 one, and zones.
    return bits === undefined || bits >> 32n === 0xffffn ? undefined : new Ip(6, bits);
  }
  const bits = parse4(text);
  return bits === undefined ? undefined : new Ip(4, bits);
}

function parse4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  if (parts.some((part) => Number(part) > 255)) return undefined;
  return parts.reduce((bits, part) => bits << 8n | BigInt(part), 0n);
}

function parse6(text: string): bigint | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const listOf = (half: string) => half === "" ? [] : half.split(":");
  const [left, right] = [listOf(head), listOf(tail ?? "")];
  const parts = [...left, ...right];
  const last = parts.at(-1) ?? "";
  if (last.includes(".")) {
    const four = parse4(last);
    if (four === undefined) return undefined;
    const split = [(four >> 16n).toString(16), (four & 0xffffn).toString(16)];
    (right.length > 0 ? right : left).splice(-1, 1, ...split);
  }
  const count = left.length + right.length;
  if (tail === undefined ? count !== 8 : count > 7) return undefined;
  const all = [...left, ...Array.from({ length: 8 - count }, () => "0"), ...right];
  if (!all.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  return all.reduce((bits, part) => bits << 16n | BigInt(`0x${part}`), 0n);
}

function ip(text: string): Ip {
  const found = parseIp(text);
  if (found === undefined) {
    throw new CelError(
      `IP Address ${JSON.stringify(text)} parse error during conversion from string`,
    );
  }
  return found;
}

function parseCidr(text: string): Cidr | undefined {
  const [address = "", length = "", ...more] = text.split("/");
  const found = parseIp(address);
  if (found === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) {
    return undefined;
  }
  return Number(length) > BITS[found.family] ? undefined : new Cidr(found, Number(length));
}

function cidr(text: string): Cidr {
  const found = parseCidr(text);
  if (found === undefined) {
    throw new CelError("network address parse error during conversion from string");
  }
  return found;
}

function masked({ ip: { family, bits }, length }: Cidr): Cidr {
  const rest = BigInt(BITS[family] - length);
  return new Cidr(new Ip(family, bits >> rest << rest), length);
}

const within = (...prefixes: string[]) => (address: Ip) =>
  prefixes.map(cidr).some(({ ip: prefix, length }) => address.isIn(prefix, length));

const isLoopback = within("127.0.0.0/8", "::1/128");
const isLinkLocal = within("169.254.0.0/16", "fe80::/10");
const isLinkLocalMulticast = within("224.0.0.0/24", "ff02::/16");
const isUnspecified = within("0.0.0.0/32", "::/128");
const isMulticast = within("224.0.0.0/4", "ff00::/8");
const isBroadcast = within("255.255.255.255/32");

function isGlobalUnicast(address: Ip): boolean {
  const isOther = [isLoopback, isLinkLocal, isUnspecified, isMulticast, isBroadcast];
  return !isOther.some((test) => test(address));
}

function containsIp({ ip: prefix, length }: Cidr, address: Ip): boolean {
  return address.isIn(prefix, length);
}

function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return inner.length >= outer.length && containsIp(outer, inner.ip);
}

/** `ip(x)`, `cidr(x)` and what can be asked of them. */
export const addressFunctions: readonly Overload[] = [
  func("ip", "string", ip),
  func("isIP", "string", (text: string) => parseIp(text) !== undefined),
  func("ip.isCanonical", "string", (text: string) => String(ip(text)) === text),
  method("family", "net.IP", ({ family }: Ip) => BigInt(family)),
  method("isUnspecified", "net.IP", isUnspecified),
  method("isLoopback", "net.IP", isLoopback),
  method("isLinkLocalMulticast", "net.IP", isLinkLocalMulticast),
  method("isLinkLocalUnicast", "net.IP", isLinkLocal),
  method("isGlobalUnicast", "net.IP", isGlobalUnicast),
  func("cidr", "string", cidr),
  func("isCIDR", "string", (text: string) => parseCidr(text) !== undefined),
  method("containsIP", "net.CIDR,net.IP", containsIp),
  method(
    "containsIP",
    "net.CIDR,string",
    (outer: Cidr, text: string) => containsIp(outer, ip(text)),
  ),
  method("containsCIDR", "net.CIDR,net.CIDR", containsCidr),
  method(
    "containsCIDR",
    "net.CIDR,string",
    (outer: Cidr, text: string) => containsCidr(outer, cidr(text)),
  ),
  method("ip", "net.CIDR", ({ ip }: Cidr) => ip),
  method("masked", "net.CIDR", masked),
  method("prefixLength", "net.CIDR", ({ length }: Cidr) => BigInt(length)),
];

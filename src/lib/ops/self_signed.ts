/** A certificate that the agent makes for itself when it was given none. */

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

const DAY_MS = 86_400_000;
/** Longer than any process lives: a new one is made at each start. */
const VALID_MS = 10 * 365 * DAY_MS;

const TAG = {
  bool: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x17,
  sequence: 0x30,
  set: 0x31,
  name: 0x82,
  address: 0x87,
  version: 0xa0,
  extensions: 0xa3,
};

/** The contents of object identifiers, as DER has them. */
const OID = {
  ecdsaWithSha256: "2a8648ce3d040302",
  commonName: "550403",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
};

/** Makes a key and a certificate for these host names and IPv4 addresses, as PEM texts. */
export function makeSelfSigned(
  names: readonly string[],
  nowMs: number,
): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(TAG.sequence, oid(OID.ecdsaWithSha256));
  const issuer = nameOf(names[0] ?? "localhost");
  const body = der(
    TAG.sequence,
    der(TAG.version, der(TAG.integer, Buffer.from([2]))),
    // Positive, as RFC 5280 §4.1.2.2 wants it, and never the same twice.
    der(TAG.integer, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    issuer,
    // A day back: clocks differ.
    der(TAG.sequence, time(nowMs - DAY_MS), time(nowMs + VALID_MS)),
    issuer,
    publicKey.export({ type: "spki", format: "der" }),
    der(TAG.extensions, der(TAG.sequence, ...extensions(names))),
  );
  const certificate = der(TAG.sequence, body, algorithm, bits(signature(body, privateKey)));
  return {
    cert: pem("CERTIFICATE", certificate),
    key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
  };
}

function extensions(names: readonly string[]): Buffer[] {
  const alternatives = names.map((name) =>
    isIPv4(name)
      ? der(TAG.address, Buffer.from(name.split(".").map(Number)))
      : der(TAG.name, Buffer.from(name, "latin1"))
  );
  const isAuthority = der(TAG.sequence, der(TAG.bool, Buffer.from([0xff])));
  return [
    extension(OID.subjectAltName, der(TAG.sequence, ...alternatives)),
    // So that a client may take the certificate itself as the authority that it trusts.
    extension(OID.basicConstraints, isAuthority),
    extension(OID.extendedKeyUsage, der(TAG.sequence, oid(OID.serverAuth))),
  ];
}

function extension(id: string, value: Buffer): Buffer {
  return der(TAG.sequence, oid(id), der(TAG.octets, value));
}

function nameOf(commonName: string): Buffer {
  const attribute = der(
    TAG.sequence,
    oid(OID.commonName),
    der(TAG.utf8, Buffer.from(commonName)),
  );
  return der(TAG.sequence, der(TAG.set, attribute));
}

function signature(body: Buffer, key: KeyObject): Buffer {
  return sign("sha256", body, key);
}

function bits(content: Buffer): Buffer {
  // The leading byte counts the unused bits of the last one.
  return der(TAG.bits, Buffer.concat([Buffer.from([0]), content]));
}

function oid(hex: string): Buffer {
  return der(TAG.oid, Buffer.from(hex, "hex"));
}

function time(ms: number): Buffer {
  // Two digits of the year: RFC 5280 §4.1.2.5 wants it so until 2049.
  const digits = new Date(ms).toISOString().slice(2).replaceAll(/[-:T]|\.\d+/g, "");
  return der(TAG.time, Buffer.from(digits));
}

/** One element: its tag, its length, its content. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const digits = content.length.toString(16);
  const length = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

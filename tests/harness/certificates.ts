/** Certificates for tests of TLS. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A certificate and its key, as files and as texts. */
export interface Certificate {
  files: { cert: string; key: string };
  /** It is its own authority. */
  texts: { cert: string; key: string; ca: string };
}

/** Makes a self-signed certificate for names such as `DNS:localhost,IP:127.0.0.1`. */
export async function makeCertificate(folder: string, names: string): Promise<Certificate> {
  const base = join(folder, crypto.randomUUID());
  const [cert, key] = [`${base}.crt`, `${base}.key`];
  await openssl(
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O=agents/CN=test " +
      `-addext subjectAltName=${names} -keyout ${key} -out ${cert}`,
  );
  return await readCertificate({ cert, key });
}

/** Makes such a certificate that expires after this many seconds. */
export async function makeBriefCertificate(
  folder: string,
  names: string,
  seconds: number,
): Promise<Certificate> {
  const home = join(folder, crypto.randomUUID());
  await mkdir(join(home, "made"), { recursive: true });
  const [cert, key, csr] = ["crt", "key", "csr"].map((end) => join(home, `own.${end}`));
  const config = join(home, "ca.cnf");
  await writeFile(join(home, "index.txt"), "");
  await writeFile(
    config,
    [
      ...["[ca]", "default_ca = own", "[own]", `database = ${join(home, "index.txt")}`],
      ...[`new_certs_dir = ${join(home, "made")}`, "rand_serial = yes", "default_md = sha256"],
      ...["policy = any", "x509_extensions = extensions", "[any]", "commonName = supplied"],
      ...["organizationName = optional", "[extensions]", `subjectAltName = ${names}`],
      "basicConstraints = critical,CA:TRUE",
    ].join("\n"),
  );
  const asn1Time = (ms: number) => new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const now = Date.now();
  await openssl(
    "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=agents/CN=test " +
      `-keyout ${key} -out ${csr}`,
  );
  await openssl(
    `ca -batch -selfsign -notext -config ${config} -in ${csr} -keyfile ${key} -out ${cert} ` +
      `-startdate ${asn1Time(now - 60_000)} -enddate ${asn1Time(now + seconds * 1000)}`,
  );
  return await readCertificate({ cert: String(cert), key: String(key) });
}

async function openssl(command: string): Promise<void> {
  const child = Bun.spawn(["openssl", ...command.split(" ")], { stdout: "ignore", stderr: "pipe" });
  if (await child.exited !== 0) throw new Error(await new Response(child.stderr).text());
}

async function readCertificate(files: Certificate["files"]): Promise<Certificate> {
  const texts = { cert: await Bun.file(files.cert).text(), key: await Bun.file(files.key).text() };
  return { files, texts: { ...texts, ca: texts.cert } };
}

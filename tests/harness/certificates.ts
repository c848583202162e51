/** Certificates for tests of TLS. */

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
  const command = [
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2",
    `-subj /O=agents/CN=test -addext subjectAltName=${names} -keyout ${key} -out ${cert}`,
  ].join(" ");
  const child = Bun.spawn(command.split(" "), { stdout: "ignore", stderr: "pipe" });
  if (await child.exited !== 0) throw new Error(await new Response(child.stderr).text());
  const texts = { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  return { files: { cert, key }, texts: { ...texts, ca: texts.cert } };
}

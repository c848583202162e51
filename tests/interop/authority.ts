/** An authority whose certificates can be replaced while everything runs, as an operator's tools do. */

import { mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";

export interface Authority {
  caFile: string;
  /** Makes a certificate and its key, in place of those that this name had. */
  issue(name: string): Promise<{ certFile: string; keyFile: string }>;
}

const NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";

export async function openAuthority(folder: string): Promise<Authority> {
  const [caFile, caKey] = [join(folder, "ca.crt"), join(folder, "ca.key")];
  await openssl(`req -x509 ${NEW_KEY} -subj /CN=authority -keyout ${caKey} -out ${caFile}`);
  return {
    caFile,
    async issue(name) {
      const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
      const fresh = await mkdtemp(join(folder, "fresh-"));
      const [cert, key] = [join(fresh, "crt"), join(fresh, "key")];
      await openssl(
        `req -x509 ${NEW_KEY} -CA ${caFile} -CAkey ${caKey} -subj /O=interop/CN=${name} ` +
          `-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE ` +
          `-keyout ${key} -out ${cert}`,
      );
      await rename(key, keyFile);
      await rename(cert, certFile);
      await rm(fresh, { recursive: true });
      return { certFile, keyFile };
    },
  };
}

async function openssl(args: string): Promise<void> {
  const child = Bun.spawn(["openssl", ...args.split(" ")], { stdout: "ignore", stderr: "pipe" });
  if (await child.exited !== 0) throw new Error(await new Response(child.stderr).text());
}

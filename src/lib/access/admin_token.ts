/** The admin token of a server that runs by itself: a secret in a file that only its owner reads. */

import { randomBytes, randomUUID } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { MaestroError } from "../errors.ts";

/** Anything shorter was not made by us, and may be guessed. */
const TOKEN_CHARACTERS_MIN = 32;

/** Reads the admin token of this folder, or makes one. Of two servers at once, both get the same. */
export async function createAdminToken(
  directory: string,
): Promise<{ path: string; token: string }> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, "admin.token");
  const token = await readToken(path) ?? await makeToken(directory, path);
  if (token.length < TOKEN_CHARACTERS_MIN) {
    throw new MaestroError(
      "invalid_argument",
      `Cannot read admin token "${path}": it is shorter than ${TOKEN_CHARACTERS_MIN} characters`,
    );
  }
  return { path, token };
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    const token = (await readFile(path, "utf8")).trim();
    await chmod(path, 0o600);
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

// Written elsewhere and linked, so that a file of this name is never empty or half-written.
async function makeToken(directory: string, path: string): Promise<string> {
  const token = randomBytes(32).toString("base64url");
  const draft = join(directory, `.admin.token.${randomUUID()}`);
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path);
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return await readToken(path) ?? token;
  } finally {
    await rm(draft, { force: true });
  }
}

/** The secret that a server makes for itself. */

import { expect, test } from "bun:test";
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdminToken } from "../../src/lib/access/admin_token.ts";

async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "maestro-admin-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test("an admin token is made once, for its owner's eyes only", async () => {
  await using directory = await folder();
  const state = join(directory.path, "state");

  const made = await createAdminToken(state);
  const read = await createAdminToken(state);

  expect(made.token).toMatch(/^[\w-]{43}$/);
  expect(read).toEqual(made);
  expect((await stat(made.path)).mode & 0o777).toBe(0o600);
  expect(await readdir(state)).toEqual(["admin.token"]);
});

test("two servers that start at once use the same token", async () => {
  await using directory = await folder();

  const made = await Promise.all(Array.from({ length: 8 }, () => createAdminToken(directory.path)));

  expect(new Set(made.map(({ token }) => token)).size).toBe(1);
});

test("a token file that others can read is closed to them", async () => {
  await using directory = await folder();
  const { path } = await createAdminToken(directory.path);
  await chmod(path, 0o644);

  await createAdminToken(directory.path);

  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("an empty token file is an error and no open door", async () => {
  await using directory = await folder();
  await writeFile(join(directory.path, "admin.token"), "\n");

  await expect(createAdminToken(directory.path)).rejects.toThrow(/^Cannot read admin token /);
});

/** Files that are replaced while we run. */

import { expect, test } from "bun:test";
import { mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchFiles } from "../../src/lib/fresh_files.ts";
import { eventually } from "../harness/eventually.ts";
import { testLogger } from "../harness/postgres.ts";

async function openFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "maestro-files-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const options = { intervalMs: 20, log: testLogger() };

test("a file that is replaced is noticed, and one that is only written again is not", async () => {
  await using folder = await openFolder();
  const [one, other] = [join(folder.path, "a"), join(folder.path, "b")];
  await Promise.all([writeFile(one, "1"), writeFile(other, "1")]);
  const seen: string[] = [];
  await using _watch = watchFiles([one, other], options, async () => {
    seen.push(await Bun.file(other).text());
  });

  await writeFile(one, "1");
  await Bun.sleep(100);
  const afterTheSame = seen.length;
  await writeFile(other, "2");
  await eventually(() => seen.includes("2"));

  expect(afterTheSame).toBe(0);
});

test("files behind a link are noticed when the link is moved, as Kubernetes does", async () => {
  await using folder = await openFolder();
  const at = (name: string) => join(folder.path, name);
  await Promise.all([Bun.write(at("1/tls.crt"), "old"), Bun.write(at("2/tls.crt"), "new")]);
  await symlink(at("1"), at("current"));
  let text = "";
  await using _watch = watchFiles([at("current/tls.crt")], options, async () => {
    text = await Bun.file(at("current/tls.crt")).text();
  });

  await symlink(at("2"), at("next"));
  await rename(at("next"), at("current"));

  await eventually(() => text === "new");
});

test("what could not be used is tried again though nothing changes any more", async () => {
  await using folder = await openFolder();
  const path = join(folder.path, "a");
  await writeFile(path, "1");
  let attempts = 0;
  await using _watch = watchFiles([path], options, () => {
    attempts++;
    if (attempts < 3) throw new Error("its key has not come yet");
  });

  await writeFile(path, "2");
  await eventually(() => attempts === 3);
  await Bun.sleep(100);

  expect(attempts).toBe(3);
});

test("nothing is called once the watch is disposed", async () => {
  await using folder = await openFolder();
  const path = join(folder.path, "a");
  let attempts = 0;
  const watch = watchFiles([path], options, () => void attempts++);

  await watch[Symbol.asyncDispose]();
  await writeFile(path, "2");
  await Bun.sleep(100);

  expect(attempts).toBe(0);
});

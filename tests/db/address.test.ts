/** Where a database is, from URLs and files. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { addressFromFiles, formatDatabaseUrl, parseDatabaseUrl } from "../../src/lib/db/address.ts";

test("a database URL says where, who and how", () => {
  const address = parseDatabaseUrl("postgres://ann:p%40ss@db.example:6543/fruit?sslmode=require");

  expect(address).toMatchObject({
    host: "db.example",
    port: 6543,
    user: "ann",
    password: "p@ss",
    database: "fruit",
    sslMode: "require",
  });
});

test("a database URL survives being printed and read again", () => {
  const urls = [
    "postgres://ann:p%40ss@db.example:6543/fruit?sslmode=verify-full",
    "postgres://ann@[::1]:5432/fruit?sslmode=prefer",
    "postgres:///fruit?host=%2Frun%2Fpostgresql&user=ann",
  ];

  const printed = urls.map((url) => formatDatabaseUrl(parseDatabaseUrl(url)));

  expect(printed).toEqual(urls);
});

test("a database URL that is not one is refused with what is wrong", () => {
  expect(() => parseDatabaseUrl("mysql://a/b")).toThrow('it must look like "postgres://');
  expect(() => parseDatabaseUrl("postgres://a@b/c?sslmode=maybe")).toThrow('sslmode is "maybe"');
  expect(() => parseDatabaseUrl("postgres://a@b/c?sslmod=require")).toThrow(
    '"sslmod" is not one of',
  );
});

test("the files of a secret are read trimmed and without their quotes", () => {
  const folder = mkdtempSync(join(tmpdir(), "maestro-files-"));
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const files = {
    host: write("host", "db.example\n"),
    port: write("port", '"6543"\n'),
    user: write("user", " ann "),
    password: write("password", '"p w"\n'),
    name: write("name", "fruit"),
    rootCertificate: join(folder, "absent"),
  };

  const address = addressFromFiles(files, "disable");
  const missing = () => addressFromFiles({ ...files, host: join(folder, "absent") }, "disable");
  const unverified = () => addressFromFiles(files, "verify-full");

  expect(address).toEqual({
    host: "db.example",
    port: 6543,
    user: "ann",
    password: "p w",
    database: "fruit",
    sslMode: "disable",
  });
  expect(missing).toThrow("Cannot read file");
  expect(unverified).toThrow("Cannot read file");
  rmSync(folder, { recursive: true });
});

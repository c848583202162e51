/** Every test of the peers has its sentence. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";

test("every test of the peers is run", () => {
  const read = (ending: string) =>
    readdirSync(import.meta.dir).filter((name) => name.endsWith(ending))
      .map((name) => readFileSync(`${import.meta.dir}/${name}`, "utf8")).join("\n");
  const written = [...read("_test.go").matchAll(/^func (Test\w+)\(t /gm)].map(([, name]) => name);
  const named = [...read(".test.ts").matchAll(/^ {2}(Test\w+): \[/gm)].map(([, name]) => name);

  expect([...new Set(named)].toSorted()).toEqual(written.toSorted());
});

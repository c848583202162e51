/** The round in which a server tells its agents what it has stored of them. */

import { expect, test } from "bun:test";
import { checkStatuses } from "../../src/lib/status/check.ts";
import { createRoll } from "../../src/lib/status/roll.ts";
import { EXT } from "../../src/lib/wire/event.ts";
import { openSpecs } from "../spec/specs.ts";

test("a round tells each agent a digest, and ends after a page when it is time to stop", async () => {
  await using specs = await openSpecs();
  const names = [specs.consumer];
  for (let n = 0; n < 3; n++) names.push((await specs.addConsumer()).name);
  await Promise.all(names.map((consumerName) => specs.create({ consumerName })));
  const told: string[] = [];
  const round = async (pages: string[][], stopAt?: string) => {
    const stop = new AbortController();
    await checkStatuses(
      specs.db,
      (consumerName, event) => {
        expect(event.extensions[EXT.statusDigest]).toBeString();
        told.push(consumerName);
        if (consumerName === stopAt) stop.abort();
        return Promise.resolve("received");
      },
      pagesOf(pages),
      {
        ...{ sourceId: "maestro", bytesMax: 1024, isProbing: false, signal: stop.signal },
        roll: createRoll(() => 0),
      },
    );
    return told.splice(0).toSorted();
  };
  const pages = [names.slice(0, 2), names.slice(2)];

  expect(await round(pages)).toEqual(names.toSorted());
  expect(await round(pages, names[0])).toEqual(names.slice(0, 2).toSorted());
});

async function* pagesOf(pages: string[][]): AsyncGenerator<string[]> {
  yield* pages;
}

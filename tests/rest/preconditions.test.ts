/** Entity tags that nobody was ever answered with. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { NGINX } from "../../tools/openapi/examples.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

let rest: RestHarness;
let consumer_name: string;
beforeAll(async () => {
  rest = await openRest();
  consumer_name = await rest.consumer();
}, 60_000);
afterAll(() => rest[Symbol.asyncDispose]());

test("a tag of no version, or of one that there cannot be, changes nothing and is no fault of ours", async () => {
  const { body } = await rest.call("POST", `${V1}/resources`, { consumer_name, manifest: NGINX });
  const path = `${V1}/resources/${body.id}`;
  for (const tag of ['"0"', '"0-1"', '"2147483648"', 'W/"3058656434"', '"9999999999-a-b"']) {
    const headers = { "If-Match": tag };
    for (
      const { status, body: answer } of [
        await rest.call("DELETE", path, undefined, headers),
        await rest.call("PATCH", path, { manifest: NGINX }, headers),
      ]
    ) {
      expect([tag, status, answer?.reason]).toEqual([
        tag,
        400,
        "the header If-Match must be * or one ETag that was answered here",
      ]);
    }
  }
  const stored = await rest.call("GET", path);
  expect([stored.body.version, stored.body.deleted_at]).toEqual([1, undefined]);
});

const POSSIBLE = ["0", "1", "2b0g4xgpr4"];
const IMPOSSIBLE = ["3w5e11264sg0", "m318gvjqv0fqm", "zzzzzzzzzzzzz"];

test("a tag of a life that nothing has had matches nothing, and is no fault of ours", async () => {
  const bundle = { consumer_name, manifests: [NGINX] };
  const { body } = await rest.call("POST", `${V1}/resource-bundles`, bundle);
  const path = `${V1}/resource-bundles/${body.id}`;
  const patch = { metadata: { labels: { a: "b" } } };
  for (const life of [...POSSIBLE, ...IMPOSSIBLE]) {
    const headers = { "If-Match": `"1-${life}"` };
    const statuses = [
      await rest.call("DELETE", path, undefined, headers),
      await rest.call("PATCH", path, patch, headers),
      await rest.call("DELETE", `${V1}/resource-bundles/nothing`, undefined, headers),
    ].map(({ status }) => status);
    expect([life, statuses]).toEqual([
      life,
      IMPOSSIBLE.includes(life) ? [400, 400, 400] : [412, 412, 204],
    ]);
  }
  expect((await rest.call("GET", path)).body).toMatchObject({ version: 1, metadata: {} });
});

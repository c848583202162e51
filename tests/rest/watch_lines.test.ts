/** Watching bundles as lines of JSON, as clients of Kubernetes read them. */

import { expect, test } from "bun:test";
import { bundle, specEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish } from "../harness/grpc.ts";
import { openWatchDoors, watch } from "../harness/watch.ts";

interface Line {
  type: string;
  cursor?: string;
  // deno-lint-ignore no-explicit-any
  object?: any;
}

/** Reads lines until the aborter ends it. */
async function readLines(response: Response, lines: Line[]): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts.map((part) => JSON.parse(part) as Line));
  }
}

test("a watcher that accepts JSON gets a line an event, resumes by its cursor, and is told the end", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));
  const open = async (query: string, type: string) => {
    const response = await fetch(`${doors.bundles}?watch=true${query}`, {
      headers: { Accept: type },
    });
    const lines: Line[] = [];
    return { response, lines, over: readLines(response, lines) };
  };

  const first = await open("", "application/json");
  await eventually(() => first.lines.some(({ type }) => type === "BOOKMARK"));
  const { cursor = "" } = first.lines.at(-1) ?? {};
  const update = { action: "update_request", version: 1, data: bundle("2") } as const;
  await publish(doors.sources, specEvent({ id, consumerName, ...update }));
  await eventually(() => first.lines.some(({ type }) => type === "MODIFIED"));
  const second = await open(`&cursor=${cursor}`, "application/x-ndjson");
  await eventually(() => second.lines.some(({ type }) => type === "MODIFIED"));
  await doors.watchers.close();
  await Promise.all([first.over, second.over]);

  expect(first.response.headers.get("content-type")).toBe("application/json");
  expect(second.response.headers.get("content-type")).toBe("application/x-ndjson");
  expect(first.lines[0]).toMatchObject({
    type: "ADDED",
    object: { kind: "ResourceBundle", id, version: 1 },
  });
  const modified = second.lines.find(({ type }) => type === "MODIFIED");
  expect(modified).toMatchObject({ object: { id, version: 2 }, cursor: expect.any(String) });
  expect(second.lines.some(({ type }) => type === "ADDED")).toBeFalse();
  expect(first.lines.at(-1)).toMatchObject({
    type: "ERROR",
    cursor: modified?.cursor ?? "",
    object: { kind: "Error", status: 503 },
  });
});

test("a watcher that accepts anything gets server-sent events, and one that accepts neither is told so", async () => {
  await using doors = await openWatchDoors();

  await using watcher = await watch(doors.bundles);
  const refused = await fetch(`${doors.bundles}?watch=true`, { headers: { Accept: "text/csv" } });

  expect(watcher.events.map(({ event }) => event)).toEqual(["bookmark"]);
  expect(refused.status).toBe(406);
});

/** What an agent makes of messages from before a deletion. */

import { expect, test } from "bun:test";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { parseEventType } from "../../src/lib/wire/event_type.ts";
import { createFence, type Fence } from "../../src/lib/work/fence.ts";
import { receiveSpec, type Works } from "../../src/lib/work/receive.ts";
import { configMap } from "./one_agent.ts";

const UID = "a8e6f3df-1d2b-5ab0-b014-230f8642c9ca";
const OTHER = "00000000-1d2b-5ab0-b014-230f8642c9ca";
const NOW_MS = Date.parse("2026-01-02T12:00:00Z");

/** A moment on the day of these tests, to the microsecond. */
const at = (time: string) => `2026-01-02T${time}Z`;

function spec(version: number, readAt: string | undefined, uid = UID): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.spec.create_request`,
    extensions: {
      resourceid: uid,
      resourceversion: version,
      clustername: "c1",
      ...(readAt === undefined ? {} : { readat: at(readAt) }),
    },
    data: JSON.stringify({ manifests: [configMap("cm", { version: `${version}` })] }),
  };
}

function deletion(version: number, deletedAt: string, readAt = deletedAt): CloudEvent {
  const event = spec(version, readAt);
  event.extensions["deletiontimestamp"] = at(deletedAt);
  return event;
}

interface Memory {
  works: Works;
  fence: Fence;
  kept: string[];
}

function remember(deletedUntil?: string): Memory {
  const kept: string[] = [];
  const keep = (time: string) => Promise.resolve(void kept.push(time));
  return { works: new Map(), fence: createFence({ deletedUntil, keep }, NOW_MS), kept };
}

const take = ({ works, fence }: Memory, event: CloudEvent) =>
  receiveSpec(works, fence, event, parseEventType(event.type));

/** As when all objects are gone and the server has been told. */
async function confirm({ works, fence }: Memory, uid = UID): Promise<void> {
  const deletionTimestamp = works.get(uid)?.deletionTimestamp ?? "";
  await fence.raise(uid, { deletionTimestamp, isTimed: true });
  works.delete(uid);
}

test("I4: what was said before a confirmed deletion comes to nothing, what is said after it counts", async () => {
  const memory = remember();
  take(memory, spec(1, "10:00:00.000001"));
  take(memory, deletion(1, "10:00:01.000005"));
  await confirm(memory);

  const late = [spec(1, "10:00:00.000001"), spec(2, "10:00:01.000005")].map((event) =>
    take(memory, event)
  );
  const reborn = take(memory, spec(1, "10:00:01.000006"));

  expect([...late, reborn]).toEqual(["late", "late", "changed"]);
});

test("I4: a late update of an earlier life does not replace the next one, though its version is higher", async () => {
  const memory = remember();
  take(memory, spec(5, "10:00:00"));
  take(memory, deletion(5, "10:00:01"));
  await confirm(memory);
  take(memory, spec(1, "10:00:02"));

  expect(take(memory, spec(6, "10:00:00.5"))).toBe("late");
  expect(memory.works.get(UID)?.version).toBe(1);
});

test("I4: a late deletion of an earlier life leaves the next one alone, and its own deletion does not", async () => {
  const memory = remember();
  take(memory, spec(1, "10:00:00"));
  take(memory, deletion(1, "10:00:01"));
  await confirm(memory);
  take(memory, spec(1, "10:00:03"));

  // Sent again before the server had the confirmation, and delivered now; and by a tombstone, which has no such time.
  const late = take(memory, deletion(1, "10:00:01", "10:00:02"));
  const forgotten = take(memory, { ...deletion(1, "10:00:01"), data: undefined } as CloudEvent);
  const alive = memory.works.get(UID)?.deletionTimestamp;
  const own = take(memory, deletion(1, "10:00:04"));

  expect([late, forgotten, alive, own]).toEqual(["late", "late", undefined, "changed"]);
});

test("a repetition is no later creation: the deletion that was said between them counts", () => {
  const memory = remember();
  take(memory, spec(1, "10:00:00"));
  take(memory, spec(1, "10:00:02"));

  expect(take(memory, deletion(1, "10:00:01"))).toBe("changed");
});

test("I4: of an earlier process only the time of its last deletion is known, and that is enough", () => {
  const memory = remember(at("10:00:01"));

  const late = take(memory, spec(1, "10:00:00"));
  const other = take(memory, spec(1, "10:00:01", OTHER));
  const said = take(memory, spec(1, "10:00:02", OTHER));

  expect([late, other, said]).toEqual(["late", "late", "changed"]);
});

test("a deletion that a wrong clock put into the future holds for a minute at most", () => {
  const memory = remember(at("23:00:00"));

  expect(take(memory, spec(1, "12:00:59"))).toBe("late");
  expect(take(memory, spec(1, "12:01:01"))).toBe("changed");
});

test("a Go server tells no times: what it resends counts, unless it was created before the deletion", async () => {
  const memory = remember();
  take(memory, spec(1, undefined));
  take(memory, deletion(1, "10:00:05.5"));
  await confirm(memory);
  const created = (time: string) => {
    const event = spec(1, undefined);
    event.extensions["metadata"] = JSON.stringify({ name: UID, creationTimestamp: at(time) });
    return event;
  };

  const late = take(memory, created("10:00:04"));
  const asked = take(memory, {
    ...created("10:00:04"),
    type: `${MANIFEST_BUNDLES}.spec.resync_response`,
  });
  memory.works.clear();
  const reborn = take(memory, created("10:00:05"));

  expect([late, asked, reborn]).toEqual(["late", "changed", "changed"]);
});

test("a deletion whose server tells no times is remembered, but nothing is kept of it", async () => {
  const memory = remember();

  await memory.fence.raise(UID, { deletionTimestamp: at("10:00:01"), isTimed: false });

  expect(memory.kept).toEqual([]);
  expect(take(memory, spec(1, "10:00:00"))).toBe("late");
  expect(take(memory, spec(1, "10:00:00", OTHER))).toBe("changed");
});

test("deletions that come together are kept by one write more, and all later than the last by none", async () => {
  const memory = remember();
  const raise = (time: string) =>
    memory.fence.raise(crypto.randomUUID(), { deletionTimestamp: at(time), isTimed: true });

  await Promise.all(Array.from({ length: 50 }, (_, index) => raise(`10:00:${10 + index}`)));
  await raise("10:00:30");

  expect(memory.kept).toEqual([at("10:00:10"), at("10:00:59")]);
});

test.each(
  [
    ["at once ten thousand", { spacingMs: 1, isTimed: true }, 10_000],
    ["in hours the last thousand", { spacingMs: 1_000, isTimed: true }, 1_000],
    ["in an hour those of ten minutes", { spacingMs: 200, isTimed: true }, 3_001],
    ["of a Go server ten thousand", { spacingMs: 1_000, isTimed: false }, 10_000],
  ] as const,
)(
  "of twenty thousand deletions %s are remembered one by one, and none is forgotten",
  async (_, { spacingMs, isTimed }, remembered) => {
    const memory = remember();
    const time = (index: number) => new Date(NOW_MS - 30_000_000 + index * spacingMs).toISOString();
    for (let index = 0; index < 20_000; index++) {
      const deletionTimestamp = time(index);
      await memory.fence.raise(`r-${index}`, { deletionTimestamp, isTimed });
    }
    const said = (uid: string, index: number) => {
      const event = spec(1, "10:00:00", uid);
      event.extensions["readat"] = time(index);
      return take(memory, event);
    };
    const last = 20_000 - 1 - remembered;

    expect([said("r-0", 0), said("r-19999", 19_999)]).toEqual(["late", "late"]);
    // Words that are older are refused whomever they are about, and said anew.
    expect([said("r-new", last), said("r-new", last + 1)]).toEqual(["late", "changed"]);
  },
);

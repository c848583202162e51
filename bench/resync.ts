/**
 * What a reconnect of an agent costs: `bun bench/resync.ts [--resources 6000] [--runs 7]`.
 *
 * The server's gRPC broker is asked as agents ask it: as ours do, with a digest, when nothing has changed and when one resource
 * has; as a Go agent does, with the list of all versions; and as a new agent does, which holds nothing. The time is from
 * the request until the last event has come, the bytes are those of the request and of the events. A digest that is right and
 * finds nothing pending has no answer: its time is that of a wrong one, which is compared in the same way, and answered.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import { type CloudEvent, EXT } from "../src/lib/wire/event.ts";
import { encodeEvent, encodePublishRequest } from "../src/lib/wire/protobuf.ts";
import { statusDigest, versionDigest } from "../src/lib/wire/status_hash.ts";
import { specResync } from "../tests/harness/events.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { openPublisher, subscribe } from "../tests/harness/grpc.ts";
import { median, printFigure } from "./figure.ts";
import { resourceId, SOURCE, specText } from "./load/events.ts";
import { openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    resources: { type: "string", default: "6000" },
    runs: { type: "string", default: "7" },
  },
});
const count = Number(values.resources);
const CONSUMER = "resync";
const PATIENCE = { timeoutMs: 120_000, intervalMs: 1 };
const ids = Array.from({ length: count }, (_, n) => resourceId(n));
const held = ids.map((id) => ({ resourceId: id, version: 1 }));

await using stage = await openStage({});
await query(stage.db, "insert into consumers (id, name) values ($1, $1)", [CONSUMER]);
await query(
  stage.db,
  "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
    "spec_event, observed_version, applied_version, sent_version, status_hash) " +
    "select id, id, $2, $3, 'Bundle', 1, $4::json, '', json_build_object('specversion', '1.0', " +
    "'id', id, 'source', $2::text, 'type', 't'), 1, 1, 1, md5(id) from unnest($1::text[]) as input (id)",
  [ids, SOURCE, CONSUMER, specText()],
);
await query(stage.db, "analyze", []);
using publisher = openPublisher(`127.0.0.1:${stage.agents}`);

const digest = () => statusDigest(ids.map((id) => ({ resourceId: id, hash: md5(id) })));
const brief = () => {
  const request = specResync(CONSUMER, []);
  request.extensions[EXT.versionDigest] = versionDigest(held);
  request.extensions[EXT.statusDigest] = digest();
  return request;
};
const list = () => {
  const request = specResync(CONSUMER, held);
  request.extensions[EXT.statusDigest] = digest();
  return request;
};

const wrong = () => {
  const request = brief();
  request.extensions[EXT.versionDigest] = versionDigest([]);
  return request;
};
await ask("same", "nothing changed", wrong, { changed: 0, expected: 1 });
await ask("one", "one changed", brief, { changed: 1 });
await ask("list", "one changed, with the list of a Go agent", list, { changed: 1 });
await ask("nothing", "an agent that holds nothing", () => specResync(CONSUMER, []), {
  changed: 0,
  expected: count,
});

/** Changes so many resources while the agent is away, and has it come back. */
async function ask(
  name: string,
  what: string,
  make: () => CloudEvent,
  { changed, expected = changed }: { changed: number; expected?: number },
): Promise<void> {
  const taken: number[] = [];
  let bytes = 0;
  for (let run = 0; run < Number(values.runs); run++) {
    await query(
      stage.db,
      "update resources set version = 1, observed_version = 1, sent_version = 1, sent_at = now() " +
        "where consumer_name = $1",
      [CONSUMER],
    );
    await query(stage.db, "delete from events", []);
    await using agent = await subscribe(`127.0.0.1:${stage.agents}`, { clusterName: CONSUMER });
    await query(
      stage.db,
      "update resources set version = 2, spec = $2::json where id = any ($1::text[])",
      [ids.slice(0, changed), '{"manifests":[]}'],
    );
    const request = make();
    const began = performance.now();
    await publisher.publish(request);
    await eventually(() => agent.events.length, (n) => n >= expected, PATIENCE);
    taken.push(performance.now() - began);
    const sent = encodePublishRequest(request).length;
    const events = agent.events.slice(0, expected);
    bytes = events.reduce((sum, event) => sum + encodeEvent(event).length, sent);
  }
  const shared = { bench: "resync", n: count, runs: taken.length, ...stage.conditions };
  const words = `resync of ${count}: ${what}`;
  const promise = `resync-${name}`;
  printFigure({ ...shared, promise, what: words, value: median(taken), unit: "ms" });
  printFigure({
    ...shared,
    promise: `${promise}-bytes`,
    what: `${words}, request and events`,
    value: bytes / 1_024,
    unit: "KB",
  });
}

function md5(text: string): string {
  return new Bun.CryptoHasher("md5").update(text).digest("hex");
}

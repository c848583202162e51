/**
 * What lists cost: `bun bench/list.ts [--bundles 6000] [--encoding identity] [--rounds 3]`.
 *
 * Bundles of 3 KB, then of 49 KB, are listed over a socket: a page of a tenth, and of the large ones all. The server has compiled
 * what lists need before, as it has within minutes anywhere. Promised is that it grows by 60 MB at most. One JSON line a list: seconds (the best round), megabytes of JSON a second, and by how much the server's
 * memory grew at its peak (the worst round).
 */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Db } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { printFigure } from "./figure.ts";
import { openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    bundles: { type: "string", default: "6000" },
    encoding: { type: "string", default: "identity" },
    rounds: { type: "string", default: "3" },
    profile: { type: "string" },
  },
});

/** A Deployment as people write them, 3 KB of JSON; `@` becomes something else in each bundle. */
function manifest(index: number): string {
  const env = Array.from({ length: 22 }, (_, at) => ({
    name: `SETTING_${index}_${at}`,
    value: `https://service-${at}.example.svc.cluster.local/${at % 3 === 0 ? "@" : "api/v1"}`,
  }));
  const labels = { "app.kubernetes.io/name": `web-${index}`, "app.kubernetes.io/part-of": "shop" };
  const container = {
    name: "web",
    image: "registry.example.com/shop/web@sha256:@",
    env,
    resources: { limits: { cpu: "500m", memory: "256Mi" }, requests: { cpu: "50m" } },
    readinessProbe: { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10 },
  };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `web-${index}`, namespace: "shop", labels },
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  });
}

async function fill(db: Db, source: string, count: number, manifests: number): Promise<number> {
  const list = Array.from({ length: manifests }, (_, index) => manifest(index)).join();
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, metadata) select id, id, $1, 'bench', 'Bundle', 1, " +
      "replace($2, '@', md5(id) || md5(id || 'x'))::json, '', '{}', " +
      "jsonb_build_object('name', id, 'labels', jsonb_build_object('app', 'web')) " +
      "from (select gen_random_uuid()::text as id from generate_series(1, $3::int)) made",
    [source, `{"manifests":[${list}]}`, count],
  );
  await query(db, "analyze resources", []);
  return list.length + (list.split("@").length - 1) * "x".repeat(63).length;
}

/** Begins a new peak. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Reads a list to its end. The bytes are those of the wire. */
async function read(url: string): Promise<{ seconds: number; bytes: number; firstMs: number }> {
  const started = performance.now();
  const response = await fetch(url, {
    headers: { "Accept-Encoding": values.encoding },
    ...{ decompress: false },
  });
  if (response.status !== 200) throw new Error(await response.text());
  let bytes = 0;
  let firstMs = 0;
  for await (const piece of response.body ?? []) {
    if (bytes === 0) firstMs = performance.now() - started;
    bytes += piece.length;
  }
  return { seconds: (performance.now() - started) / 1000, bytes, firstMs };
}

/** Before the first figure. */
const WARMING_LISTS = 30;

await using stage = await openStage({ profile: values.profile });
await query(stage.db, "insert into consumers (id, name) values ('bench', 'bench')", []);
const bundles = Number(values.bundles);
let growth = 0;
const sizes = [["small", 1, [bundles / 10]], ["large", 16, [bundles / 10, bundles]]] as const;
for (const [source, manifests, lists] of sizes) {
  const bytesEach = await fill(stage.db, source, bundles, manifests);
  const url = `${stage.rest}/api/maestro/v1/resource-bundles?search=source='${source}'`;
  for (let warmed = 0; warmed < WARMING_LISTS; warmed++) await read(`${url}&size=${bundles / 10}`);
  for (const size of lists) {
    const rounds = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const before = memoryOf(stage.pid).now;
      forgetPeak(stage.pid);
      const outcome = await read(`${url}&size=${size}`);
      rounds.push({ ...outcome, grown: memoryOf(stage.pid).peak - before, before });
    }
    const seconds = Math.min(...rounds.map((round) => round.seconds));
    const kilobytes = Math.round(bytesEach / 1_024);
    const what = `${size} of ${bundles} bundles of ${kilobytes} KB`;
    const megabytesPerSecond = size * bytesEach / 1e6 / seconds;
    const grown = Math.max(...rounds.map((round) => round.grown));
    growth = Math.max(growth, grown);
    printFigure({
      bench: "list",
      promise: `list-${size}-${kilobytes}kb`,
      what,
      // Of a whole table the rate counts, of a page the time.
      ...(size === bundles
        ? { value: megabytesPerSecond, unit: "MB/s" }
        : { value: seconds * 1_000, unit: "ms" }),
      encoding: values.encoding,
      seconds: Number(seconds.toFixed(3)),
      megabytes: Math.round((rounds[0]?.bytes ?? 0) / 1e6),
      first_byte_ms: Math.round(Math.min(...rounds.map((round) => round.firstMs))),
      rss_before_mb: Math.round(rounds[0]?.before ?? 0),
      rss_growth_mb: Math.round(grown),
    });
  }
}
printFigure({
  bench: "list",
  promise: "list-growth",
  what: "the most that the server grew during a list",
  value: growth,
  unit: "MB",
});

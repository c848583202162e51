/** A source whose resources come and go: each is created, updated and deleted, and each change is waited for. */

import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import {
  decodeEvent,
  encodePublishRequest,
  encodeSubscription,
} from "../../src/lib/wire/protobuf.ts";
import { bundle, specEvent } from "../../tests/harness/events.ts";
import { SOURCE } from "./events.ts";
import { frame, openGrpcClient } from "./grpc_client.ts";
import { now, type Outcome, pick, summary } from "./summary.ts";

/** So many changes a second in all, each of another resource than those under way. */
export interface Lives {
  task: "lives";
  port: number;
  consumers: string[];
  perSecond: number;
  durationMs: number;
}

interface Life {
  id: string;
  consumerName: string;
  /** What it has been told: nothing yet, a version, or to end. */
  version: number;
}

const STATUS_TIMEOUT_MS = 60_000;
/** Versions of one resource, before it is deleted. */
const VERSIONS = 4;
const UNDER_WAY_MAX = 1_000;

/** Changes until the time is over. */
export async function lives(task: Lives): Promise<Outcome> {
  const client = await openGrpcClient(task.port);
  let failure: string | undefined;
  const waiting = new Map<string, { isEnough: (event: CloudEvent) => boolean; done: () => void }>();
  const request = { source: SOURCE, clusterName: "", dataType: MANIFEST_BUNDLES };
  await client.subscribe(frame(encodeSubscription(request)), (message) => {
    const event = decodeEvent(message);
    const waiter = waiting.get(String(event.extensions["resourceid"]));
    if (waiter?.isEnough(event)) waiter.done();
  }, () => failure ??= "the source's stream ended");
  const told = async (id: string, isEnough: (event: CloudEvent) => boolean) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(reject, STATUS_TIMEOUT_MS, new Error(`no status came of ${id}`));
    waiting.set(id, { isEnough, done: resolve });
    await promise;
    clearTimeout(timer);
    waiting.delete(id);
  };
  const change = async (life: Life): Promise<number> => {
    const startedAt = performance.now();
    const isLast = life.version === VERSIONS;
    const seen = told(
      life.id,
      isLast ? saysDeleted : (event) => Number(event.extensions["resourceversion"]) > life.version,
    );
    await Promise.all([client.publish(frame(encodePublishRequest(requestOf(life)))), seen]);
    life.version++;
    return performance.now() - startedAt;
  };
  const startedAt = now();
  const latencies: number[] = [];
  const resting: Life[] = [];
  const underWay = new Set<Promise<unknown>>();
  for (let n = 0; failure === undefined && now() - startedAt < task.durationMs; n++) {
    await Bun.sleep(startedAt + n * 1_000 / task.perSecond - now());
    while (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    // As many rest as are under way, so that there are always some of each age.
    const life = (resting.length > UNDER_WAY_MAX / 2 ? resting.shift() : undefined) ??
      { id: crypto.randomUUID(), consumerName: pick(task.consumers, n), version: 0 };
    const one = change(life).then((ms) => {
      latencies.push(ms);
      if (life.version <= VERSIONS) resting.push(life);
    }).catch((error) => failure ??= String(error)).finally(() => underWay.delete(one));
    underWay.add(one);
  }
  await Promise.all(underWay);
  const outcome = { ...summary(latencies, startedAt), ...(failure !== undefined && { failure }) };
  client.close();
  return outcome;
}

function requestOf({ id, consumerName, version }: Life): CloudEvent {
  const parts = { id, consumerName, version, source: SOURCE };
  if (version === VERSIONS) return specEvent({ ...parts, action: "delete_request" });
  const data = bundle(`${version} ${"of some length ".repeat(100)}`).replace('"a"', `"${id}"`);
  return specEvent({ ...parts, data, ...(version > 0 && { action: "update_request" }) });
}

function saysDeleted(event: CloudEvent): boolean {
  return event.data?.includes('"Deleted"') ?? false;
}

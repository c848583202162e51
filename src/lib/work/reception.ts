/** Takes what the broker delivers: specs, and the server's questions for statuses. */

import { describeError } from "../errors.ts";
import type { KeyedQueue } from "../keyed_queue.ts";
import type { Logger } from "../log.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES, MANIFESTS } from "../wire/event.ts";
import { ACTION, type EventType, parseEventType } from "../wire/event_type.ts";
import type { WorkAgentOptions } from "./agent.ts";
import type { DigestWatch } from "./digest.ts";
import type { Doubts } from "./doubts.ts";
import type { Fence } from "./fence.ts";
import type { Outbox } from "./outbox.ts";
import { receiveSpec, type Works } from "./receive.ts";
import { answersTo } from "./resync.ts";

/** What an event may touch. */
export interface Reception {
  works: Works;
  doubts: Doubts;
  fence: Fence;
  passes: KeyedQueue;
  outbox: Outbox;
  digests: DigestWatch;
  log: Logger;
  options: WorkAgentOptions;
  /** The server has sent a spec, or asked for statuses. */
  heard: (subresource: EventType["subresource"]) => void;
  /** Tells the server what is held, unless it was just told. */
  tellAgain: () => void;
  /** Tells the server what is held, as it wants a list. */
  tellAll: () => void;
  /** What the server's events have shown of it. */
  server: Acquaintance;
}

/** A server of ours says when its database said so, and what it believes an agent to hold. */
export interface Acquaintance {
  isOurs: boolean;
}

/** Takes one event from the broker. An event that makes no sense is logged: nobody would hear an error. */
export function takeEvent(reception: Reception, event: CloudEvent): void {
  const { works, fence, passes, outbox, digests, log, options, heard } = reception;
  try {
    const type = parseEventType(event.type);
    if (type.dataType !== MANIFEST_BUNDLES && type.dataType !== MANIFESTS) return;
    if (type.subresource === "status") {
      const clusterName = event.extensions[EXT.clusterName] ?? "";
      if (clusterName !== "" && clusterName !== options.consumerName) return;
      if (event.extensions[EXT.statusDigest] !== undefined) reception.server.isOurs = true;
      if (event.extensions[EXT.listWanted] !== undefined) {
        reception.tellAll();
        return;
      }
      if (type.action !== ACTION.resyncRequest || digests.take(event, type.dataType)) return;
      const asked = { consumerName: options.consumerName, nowMs: options.nowMs() };
      for (const uid of answersTo(works, event, type.dataType, asked)) outbox.answer(uid);
      heard("status");
      return;
    }
    if (type.action === ACTION.resyncRequest) return;
    if (event.extensions[EXT.clusterName] !== options.consumerName) return;
    heard("spec");
    reception.server.isOurs = event.extensions[EXT.readAt] !== undefined;
    if (reception.doubts.rejects(event)) {
      const { resourceId } = EXT;
      log.warn("does not delete what a server only does not know", {
        resource_id: String(event.extensions[resourceId]),
        source: event.source,
      });
      return;
    }
    const receipt = receiveSpec(works, fence, event, type);
    const uid = String(event.extensions[EXT.resourceId]);
    log.debug("received", { resource_id: uid, type: event.type, receipt });
    const work = works.get(uid);
    if (receipt === "changed") passes.add(uid);
    else if (work !== undefined && (receipt === "repeated" || receipt === "older")) {
      // The server would not send it if it had our status, or knew that we hold a later version.
      work.mustReport = true;
      outbox.mark(uid);
      // A work whose spec has not come back since a restart has no status yet; a list tells its version.
      if (receipt === "older" && !work.isSettled) reception.tellAgain();
    }
  } catch (error) {
    log.warn("cannot use event", {
      event_id: event.id,
      type: event.type,
      reason: describeError(error),
    });
  }
}

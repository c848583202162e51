/** Watching bundles over Connect: the same queue as server-sent events have, as messages. */

import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type ResourceBundle,
  type ResourceBundleService,
  WatchResourceBundlesResponse_Type as Type,
} from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import { RESOURCES } from "../../search/listed.ts";
import { checkFollowed } from "../../search/match.ts";
import { parseSearch } from "../../search/parse.ts";
import type { Watchers } from "../watch.ts";
import type { Presentation, WatchEvent } from "../watch_event.ts";
import { CALLER } from "./call.ts";
import { toWatchError } from "./errors.ts";

/** What is taken from the queue at once. */
const TAKEN_BYTES = 64 * 1024;

const TYPES: Record<WatchEvent<unknown>["type"], Type> = {
  added: Type.ADDED,
  modified: Type.MODIFIED,
  deleted: Type.DELETED,
  bookmark: Type.BOOKMARK,
};

type Watch = ServiceImpl<typeof ResourceBundleService>["watch"];

/** Makes the method. */
export function createWatchCall(
  watchers: Watchers,
  presentation: Presentation<ResourceBundle>,
): Watch {
  return async function* (request, context: HandlerContext) {
    const { operationId, untilMs } = context.values.get(CALLER);
    const condition = parseSearch(RESOURCES, request.search);
    checkFollowed(condition);
    const queue = await watchers.open({
      condition,
      cursor: request.cursor === "" ? undefined : request.cursor,
      operationId,
      untilMs,
    }, presentation);
    const { signal } = context;
    // A reader that is gone, or has no more time, must not wait for the next event to be noticed.
    signal.addEventListener("abort", queue.close);
    if (signal.aborted) queue.close();
    try {
      for (;;) {
        const taken = await queue.take(TAKEN_BYTES);
        if (taken === undefined) throw signal.reason;
        if ("end" in taken) throw toWatchError(taken.end.error, taken.end.cursor);
        for (const { type, shown, cursor } of taken.events) {
          yield {
            type: TYPES[type],
            ...(shown !== undefined && { resourceBundle: shown }),
            ...(cursor !== undefined && { cursor }),
          };
        }
      }
    } finally {
      signal.removeEventListener("abort", queue.close);
      queue.close();
    }
  };
}

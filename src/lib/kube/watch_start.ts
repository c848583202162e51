/** How a watch begins: with all objects there are, told by the server itself or, where it cannot, by a list. */

import { isObject, type JsonObject } from "../json.ts";
import { KubeError, type ObjectList, type WatchEvent } from "../work/kube_api.ts";

/** Opens a watch with this query. It is closed, and throws the signal's reason, when that aborts. */
export type OpenWatch = (
  query: Record<string, string>,
  given?: AbortSignal,
) => AsyncIterable<WatchEvent>;

/** What is known of a server. */
export interface WatchedServer {
  /** It does not begin a watch with all objects: it refused to, or took no notice of being asked. */
  isOld: boolean;
  /** How long it may be silent before it has told of all objects. */
  initialSilenceMs: number;
}

/** Kubernetes' mark of the bookmark that ends the objects which were there when a watch began. */
const INITIAL_END = "k8s.io/initial-events-end";
/** The query of a watch that begins with all objects there are. */
const FROM_START = { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" };
const NO_INITIAL_END = "NoInitialEnd";

/** A watch from a version; without one, all objects come first and a bookmark says that these were all. */
export async function* startWatch(
  open: OpenWatch,
  pages: () => AsyncIterable<ObjectList>,
  server: WatchedServer,
  resourceVersion: string | undefined,
): AsyncGenerator<WatchEvent> {
  if (resourceVersion !== undefined) return yield* open({ resourceVersion });
  if (!server.isOld) {
    let hasTold = false;
    try {
      for await (const event of watchFromStart(open, server.initialSilenceMs)) {
        hasTold = true;
        yield event;
      }
      return;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      server.isOld = true;
      // What was told is no part of the list that would follow: the next watch begins with one.
      if (hasTold) throw error;
    }
  }
  let version = "";
  for await (const event of initialEvents(pages())) {
    version = String((event.object["metadata"] as JsonObject)["resourceVersion"]);
    yield event;
  }
  yield* open({ resourceVersion: version });
}

/** The objects of a list as a watch would begin with them. */
export async function* initialEvents(
  pages: AsyncIterable<ObjectList> | Iterable<ObjectList>,
): AsyncGenerator<WatchEvent> {
  let resourceVersion = "";
  for await (const page of pages) {
    for (const object of page.items) yield { type: "ADDED", object };
    ({ resourceVersion } = page);
  }
  yield { type: "BOOKMARK", object: { metadata: { resourceVersion } }, isInitialEnd: true };
}

/**
 * Watches with all objects first, as Kubernetes does since 1.32.
 *
 * It refuses to since 1.19. What is older, or only resembles it, may take no notice of the query and never say that these
 * were all, so that nobody would learn what is not there: that is an error once no more of them come.
 */
async function* watchFromStart(open: OpenWatch, silenceMs: number): AsyncGenerator<WatchEvent> {
  const given = new AbortController();
  const giveUp = () => {
    const text = `It tells of objects, but for ${silenceMs} ms not that these are all`;
    given.abort(new KubeError(0, NO_INITIAL_END, text));
  };
  let timer = setTimeout(giveUp, silenceMs);
  let isBeginning = true;
  try {
    for await (const event of open(FROM_START, given.signal)) {
      const isInitialEnd = isMarked(event);
      if (isInitialEnd) isBeginning = false;
      if (isInitialEnd || event.type === "ADDED") clearTimeout(timer);
      if (isBeginning && event.type === "ADDED") timer = setTimeout(giveUp, silenceMs);
      yield isInitialEnd ? { ...event, isInitialEnd } : event;
    }
  } finally {
    clearTimeout(timer);
  }
}

function isMarked({ type, object: { metadata } }: WatchEvent): boolean {
  if (type !== "BOOKMARK" || !isObject(metadata)) return false;
  const { annotations } = metadata;
  return isObject(annotations) && annotations[INITIAL_END] === "true";
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  if (error.reason === NO_INITIAL_END) return true;
  return (error.status === 422 || error.status === 400) &&
    /sendInitialEvents|resourceVersionMatch/.test(error.message);
}

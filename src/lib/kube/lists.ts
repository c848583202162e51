/** Reads all objects of one type, page by page. */

import { isObject, type JsonObject } from "../json.ts";
import { KubeError, type ObjectList } from "../work/kube_api.ts";

/** Objects in one page of a list: a few megabytes in memory at a time, not the whole type. */
const PAGE_ITEMS_MAX = 500;

/** Reads one page; the query says which. */
export type ReadPage = (query: Record<string, string>) => Promise<JsonObject>;

/** Yields the pages of a list. Throws a `KubeError` with status 410 if the server forgets the list in between. */
export async function* readPages(read: ReadPage): AsyncGenerator<ObjectList> {
  let query: Record<string, string> = { limit: String(PAGE_ITEMS_MAX) };
  for (;;) {
    const page = await read(query);
    const { continue: continueFrom, resourceVersion = "" } = isObject(page["metadata"])
      ? page["metadata"] as { continue?: string; resourceVersion?: string }
      : {};
    const items = Array.isArray(page["items"]) ? page["items"] as JsonObject[] : [];
    yield { items, resourceVersion };
    if (!continueFrom) return;
    query = { limit: String(PAGE_ITEMS_MAX), continue: continueFrom };
  }
}

/** All pages as one list, of one moment. */
export async function readList(read: ReadPage): Promise<ObjectList> {
  const items: JsonObject[] = [];
  let resourceVersion = "";
  try {
    for await (const page of readPages(read)) {
      items.push(...page.items);
      resourceVersion = page.resourceVersion;
    }
  } catch (error) {
    if (!(error instanceof KubeError && error.status === 410)) throw error;
    // The pages are of one moment, and the server has forgotten it. In one piece it cannot happen again.
    const page = await read({});
    const { resourceVersion: version } = isObject(page["metadata"]) ? page["metadata"] : {};
    return {
      items: Array.isArray(page["items"]) ? page["items"] as JsonObject[] : [],
      resourceVersion: typeof version === "string" ? version : "",
    };
  }
  return { items, resourceVersion };
}

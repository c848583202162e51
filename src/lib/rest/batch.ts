/** Many changes of bundles in one request, each answered for itself. */

import type { Hono } from "hono";
import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import type { Receipt } from "../spec/accept.ts";
import type { Written } from "../spec/write.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";
import { answerOnce } from "./answer_once.ts";
import { integerMember, invalid, objectMember, refuseUnknown, textMember } from "./body.ts";
import { parseBundle } from "./bundle_input.ts";
import { type BundleWriteParts, readMerge, readSteps } from "./bundle_writes.ts";
import { oneObject, readDocuments, type RequestDocuments } from "./documents.ts";
import { explainError, presentError } from "./errors.ts";
import { badRequest } from "./list.ts";
import { presentBundle } from "./present_bundle.ts";
import { addRoute, type RestContext, type RestEnv, sendText } from "./routes.ts";
import { writeOptions } from "./write_options.ts";

const PATH = "/api/maestro/v1/resource-bundles:batch";
const ITEMS_MAX = 1_000;
/** Reading it keeps everybody else waiting for as long as it takes. */
const BYTES_MAX = 8 * 1024 * 1024;
/** Changes under way at once: enough for full statements, and for no more bundles in memory than that. */
const LANES = 128;
/** Beyond it bundles are left out of the answer, which then has their ids and versions. */
const SHOWN_LENGTH_MAX = 32 * 1024 * 1024;

/** Adds `/resource-bundles:batch`. */
export function addBatchRoute(app: Hono<RestEnv>, parts: BundleWriteParts): void {
  addRoute(app, PATH, {
    async POST(c) {
      const body = await readDocuments(c, ["json", "yaml"], { bytesMax: BYTES_MAX });
      return await answerOnce(c, parts, body.text, async (requestId) => {
        const items = await answerItems(c, parts, readItems(body), requestId);
        const text = `{"items":[${items.join(",")}],"kind":"ResourceBundleBatch",` +
          `"size":${items.length}}`;
        return sendText(c, 200, text);
      });
    },
  });
}

/** The items of a batch: a list, or in YAML a document for each. */
function readItems(body: RequestDocuments): unknown[] {
  const items = body.documents.length > 1 ? body.documents : listOf(oneObject(body));
  if (items.length > ITEMS_MAX) {
    throw badRequest(`the batch has ${items.length} items, at most are ${ITEMS_MAX}`);
  }
  return items;
}

function listOf(body: JsonObject): unknown[] {
  refuseUnknown(body, ["items"]);
  const { items } = body;
  if (!Array.isArray(items)) throw invalid("items must be a list");
  return items;
}

/** Answers the items as JSON texts, in their order. What is about one bundle is done in that order, too. */
async function answerItems(
  c: RestContext,
  parts: BundleWriteParts,
  items: readonly unknown[],
  requestId: Receipt | undefined,
): Promise<string[]> {
  const answers: string[] = [];
  const lastOf = new Map<string, Promise<void>>();
  let shown = 0;
  let next = 0;
  const answer = async (index: number) => {
    const receipt = requestId === undefined ? undefined : `${requestId}/${index}`;
    const { short, full } = await answerItem(c, parts, items[index], receipt);
    const isShown = shown + full.length <= SHOWN_LENGTH_MAX;
    answers[index] = isShown ? full : short;
    shown += answers[index].length;
  };
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const at = index;
      const id = idOfItem(items[at]);
      const before = id === undefined ? undefined : lastOf.get(id);
      const turn = before === undefined ? answer(at) : before.then(() => answer(at));
      if (id !== undefined) lastOf.set(id, turn);
      await turn;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return answers;
}

function idOfItem(item: unknown): string | undefined {
  if (!isObject(item)) return undefined;
  const id = item["id"] ?? (isObject(item["bundle"]) ? item["bundle"]["id"] : undefined);
  return typeof id === "string" ? id : undefined;
}

/** An answer, and the same without the bundle. */
interface ItemAnswer {
  full: string;
  short: string;
}

// Never rejects: what fails is an answer too.
async function answerItem(
  c: RestContext,
  parts: BundleWriteParts,
  item: unknown,
  receipt: Receipt | undefined,
): Promise<ItemAnswer> {
  try {
    return await changeByItem(c, parts, item, receipt);
  } catch (thrown) {
    const { status, number, reason } = explainError(thrown);
    if (status >= 500) c.get("log").error("cannot answer an item of a batch", { error: thrown });
    const error = presentError(number, reason, c.get("operationId"));
    const text = canonicalJson({ status, error });
    return { full: text, short: text };
  }
}

async function changeByItem(
  c: RestContext,
  { writer }: BundleWriteParts,
  item: unknown,
  receipt: Receipt | undefined,
): Promise<ItemAnswer> {
  if (!isObject(item)) throw invalid("an item of a batch must be an object");
  const action = textMember(item, "action");
  const options = (version?: number) =>
    writeOptions(c, "Bundle", {
      preconditions: { version: version ?? 0, life: undefined },
      receipt,
    });
  switch (action) {
    case "create": {
      refuseUnknown(item, ["action", "bundle"]);
      const { id, version, draft } = bundleOf(item);
      return presentWritten(await writer.create({ id, draft, firstVersion: version }, options()));
    }
    case "apply": {
      refuseUnknown(item, ["action", "id", "bundle"]);
      const { id, version, draft } = bundleOf(item);
      const applied = textMember(item, "id") ?? id;
      if (applied === undefined) throw invalid("id is required");
      if ((id ?? applied) !== applied) throw invalid("bundle.id: it is not that of the item");
      return presentWritten(await writer.apply(applied, draft, options(version)));
    }
    case "patch": {
      refuseUnknown(item, ["action", "id", "patch", "version"]);
      const id = requiredId(item);
      const { patch } = item;
      const { version, change } = Array.isArray(patch)
        ? readSteps(patch)
        : readMerge(objectMember(item, "patch") ?? {}, id);
      return presentWritten(await writer.patch(id, change, options(versionOf(item) ?? version)));
    }
    case "delete": {
      refuseUnknown(item, ["action", "id", "version"]);
      const id = requiredId(item);
      await writer.delete(id, options(versionOf(item)));
      const text = canonicalJson({ status: 204, id });
      return { full: text, short: text };
    }
    default:
      throw invalid("action must be create, apply, patch or delete");
  }
}

function bundleOf(item: JsonObject) {
  const bundle = objectMember(item, "bundle");
  if (bundle === undefined) throw invalid("bundle is required");
  return parseBundle(bundle);
}

function requiredId(item: JsonObject): string {
  const id = textMember(item, "id");
  if (id === undefined) throw invalid("id is required");
  if (id.includes("\0")) throw invalid("id must not contain \\u0000");
  return id;
}

function versionOf(item: JsonObject): number | undefined {
  return integerMember(item, "version", { min: 0, max: RESOURCE_VERSION_MAX });
}

function presentWritten({ row, outcome }: Written): ItemAnswer {
  const answer = { status: outcome === "created" ? 201 : 200, id: row.id, version: row.version };
  return {
    full: canonicalJson({ ...answer, bundle: presentBundle(row) }),
    short: canonicalJson(answer),
  };
}

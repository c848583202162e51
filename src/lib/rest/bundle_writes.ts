/** How bundles are created, changed and replaced over REST. */

import { applyJsonPatch, parseJsonPatch } from "../json_patch.ts";
import type { JsonObject } from "../json.ts";
import { mergePatch } from "../merge_patch.ts";
import type { ResourceRow } from "../spec/door.ts";
import type { ResourceDraft } from "../spec/draft.ts";
import type { ResourceWriter, Written } from "../spec/write.ts";
import { answerOnce, type OnceParts } from "./answer_once.ts";
import { invalid } from "./body.ts";
import {
  bundleDocument,
  type BundleInput,
  isManifest,
  parseBundle,
  parseBundlePatch,
  parseChanged,
  wrapManifests,
} from "./bundle_input.ts";
import { oneObject, readDocuments, type RequestDocuments } from "./documents.ts";
import { badRequest } from "../search/refusal.ts";
import { onCondition, parsePreconditions } from "./preconditions.ts";
import { presentBundle } from "./present_bundle.ts";
import { idOf, type RestContext, sendTagged } from "./routes.ts";
import { isDryRun, writeOptions } from "./write_options.ts";

/** What changes of bundles stand on. */
export interface BundleWriteParts extends OnceParts {
  writer: ResourceWriter;
}

const TYPE = "Bundle";
const PATH = "/api/maestro/v1/resource-bundles";

/** Creates what the body says. */
export async function postBundle(c: RestContext, parts: BundleWriteParts): Promise<Response> {
  const body = await readDocuments(c, ["json", "yaml"]);
  return await answerOnce(c, parts, body.text, async (receipt) => {
    const { id, version, draft } = readBundle(c, body);
    const preconditions = parsePreconditions(c);
    if (preconditions.isFromHeader) throw badRequest("the header If-Match does not go with POST");
    const options = writeOptions(c, TYPE, { receipt });
    const creation = { id, draft, firstVersion: version };
    return sendWritten(
      c,
      await onCondition(preconditions, () => parts.writer.create(creation, options)),
    );
  });
}

/** Replaces the bundle whole, or creates it. */
export async function putBundle(c: RestContext, parts: BundleWriteParts): Promise<Response> {
  const id = idOf(c);
  const body = await readDocuments(c, ["json", "yaml"]);
  return await answerOnce(c, parts, body.text, async (receipt) => {
    const input = readBundle(c, body);
    if ((input.id ?? id) !== id) throw invalid("id: it is not the one in the path");
    const preconditions = parsePreconditions(c, { version: input.version });
    const options = writeOptions(c, TYPE, { preconditions, receipt });
    const written = await onCondition(preconditions, async () => {
      if (preconditions.mustBeNew) {
        const { draft, version: firstVersion } = input;
        return await parts.writer.create({ id, draft, firstVersion }, options);
      }
      // `If-Match: *` asks for a bundle that is there.
      if (preconditions.isFromHeader && preconditions.version === 0) {
        return await parts.writer.patch(id, () => input.draft, options);
      }
      return await parts.writer.apply(id, input.draft, options);
    });
    return sendWritten(c, written);
  });
}

/** Changes the parts that the body names. */
export async function patchBundle(c: RestContext, parts: BundleWriteParts): Promise<Response> {
  const id = idOf(c);
  const body = await readDocuments(c, ["json", "yaml", "merge-patch", "json-patch"]);
  return await answerOnce(c, parts, body.text, async (receipt) => {
    const { version, change } = body.format === "json-patch"
      ? readSteps(body.documents[0])
      : readMerge(oneObject(body), id);
    const preconditions = parsePreconditions(c, { version });
    const options = writeOptions(c, TYPE, { preconditions, receipt });
    const written = await onCondition(
      preconditions,
      () => parts.writer.patch(id, change, options),
    );
    return sendWritten(c, written);
  });
}

/** How a patch changes what is stored. */
export interface BundleChange {
  version: number | undefined;
  change: Parameters<ResourceWriter["patch"]>[1];
}

/** The change that a merge patch of a bundle asks for. */
export function readMerge(patch: JsonObject, id: string): BundleChange {
  const { id: given, version, changes } = parseBundlePatch(patch);
  if ((given ?? id) !== id) throw invalid("id: field is immutable");
  return {
    version,
    change: (stored, row) => parseChanged(mergePatch(bundleDocument(stored, row), changes), row),
  };
}

/** The change that a JSON patch of a bundle asks for; a test of `/version` says what the client has seen. */
export function readSteps(patch: unknown): BundleChange {
  const steps = parseJsonPatch(patch);
  const change = (stored: ResourceDraft, row: ResourceRow) =>
    parseChanged(applyJsonPatch(bundleDocument(stored, row), steps), row);
  return { version: undefined, change };
}

/** The bundle of a body: as it is shown, or manifests as kubectl takes them with the rest in the address. */
function readBundle(c: RestContext, body: RequestDocuments): BundleInput {
  const query = new URL(c.req.url).searchParams;
  if (body.documents.length === 0 || !body.documents.every(isManifest)) {
    return parseBundle(oneObject(body));
  }
  const consumerName = query.get("consumer_name");
  if (!consumerName) {
    throw invalid('consumer_name is required: manifests need "?consumer_name=" in the address');
  }
  const name = query.get("name");
  return parseBundle(
    wrapManifests(body.documents, { consumerName, ...(name !== null && { name }) }),
  );
}

function sendWritten(c: RestContext, { row, outcome }: Written): Response {
  const isReal = !isDryRun(c);
  if (outcome === "created" && isReal) c.header("Location", `${PATH}/${row.id}`);
  const status = outcome === "created" ? 201 : 200;
  return sendTagged(c, status, presentBundle(row), isReal ? row : undefined);
}

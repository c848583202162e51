/** Reads and writes the data of spec events, of both data types. */

import { MaestroError } from "../errors.ts";
import {
  FLAG,
  list,
  NUMBER,
  OBJECT,
  object,
  OBJECTS,
  parseMembers,
  TEXT,
  TEXTS,
} from "./members.ts";
import { MANIFESTS } from "./event.ts";
import type { BundleSpec, SingleSpec } from "./work_spec.ts";

const IDENTIFIER = { group: TEXT, resource: TEXT, name: TEXT, namespace: TEXT };

const DELETE_OPTION = object({
  propagationPolicy: TEXT,
  selectivelyOrphans: object({ orphaningRules: list(IDENTIFIER) }),
  ttlSecondsAfterFinished: NUMBER,
});

const CONFIG = {
  feedbackRules: list({
    type: TEXT,
    jsonPaths: list({ name: TEXT, version: TEXT, path: TEXT }),
  }),
  updateStrategy: object({
    type: TEXT,
    serverSideApply: object({
      force: FLAG,
      fieldManager: TEXT,
      ignoreFields: list({
        condition: TEXT,
        jsonPaths: TEXTS,
        jsonPointers: TEXTS,
        jqPathExpressions: TEXTS,
      }),
    }),
  }),
};

const EXECUTOR = object({
  subject: object({ type: TEXT, serviceAccount: object({ namespace: TEXT, name: TEXT }) }),
});

const BUNDLE = object({
  manifests: OBJECTS,
  deleteOption: DELETE_OPTION,
  manifestConfigs: list({
    resourceIdentifier: object(IDENTIFIER),
    ...CONFIG,
    conditionRules: list({
      condition: TEXT,
      type: TEXT,
      celExpressions: TEXTS,
      message: TEXT,
      messageExpression: TEXT,
    }),
    feedbackScrapeType: TEXT,
  }),
  executer: EXECUTOR,
  executor: EXECUTOR,
});

const SINGLE = object({
  manifest: OBJECT,
  deleteOption: DELETE_OPTION,
  configOption: object(CONFIG),
});

/**
 * Parses the data of a `manifestbundles` spec event.
 *
 * Checks the shape only: manifests are objects, options have the types that are read later. `executor` counts as
 * `executer` (quirk Q16 of the wire). Throws `invalid_argument` with the member's path.
 */
function parseBundleSpec(text: string): BundleSpec {
  const document = parseMembers(text, "the manifest bundle", BUNDLE);
  const { executor, ...bundle } = document;
  bundle["manifests"] ??= [];
  if (executor !== undefined) bundle["executer"] ??= executor;
  for (
    const [index, config] of (bundle as unknown as BundleSpec).manifestConfigs?.entries() ?? []
  ) {
    if (config.resourceIdentifier !== undefined) continue;
    throw new MaestroError(
      "invalid_argument",
      "Cannot read the manifest bundle: " +
        `manifestConfigs[${index}].resourceIdentifier must be an object`,
    );
  }
  return bundle as unknown as BundleSpec;
}

/** Parses the data of a spec event of either data type; that of a single manifest becomes a bundle of one. */
export function parseSpec(dataType: string, text: string): BundleSpec {
  if (dataType !== MANIFESTS) return parseBundleSpec(text);
  const single: Partial<SingleSpec> = parseMembers(text, "the manifest", SINGLE);
  return {
    manifests: single.manifest ? [single.manifest] : [],
    manifestConfigs: [single.configOption ?? {}],
    ...(single.deleteOption ? { deleteOption: single.deleteOption } : {}),
  };
}

/** The data of a `manifests` spec event for a bundle that was parsed from one. */
export function toSingleSpec({ manifests, manifestConfigs, deleteOption }: BundleSpec): SingleSpec {
  const [configOption = {}] = manifestConfigs ?? [];
  return {
    manifest: manifests[0] ?? {},
    ...(deleteOption ? { deleteOption } : {}),
    ...(Object.keys(configOption).length > 0 ? { configOption } : {}),
  };
}

/**
 * The text of a bundle as peers read it, who know `executer` only. Unless the other spelling is in it, the text stays
 * as it is, byte for byte.
 */
export function peersBundleText(text: string, bundle: BundleSpec): string {
  const isRenamed = bundle.executer !== undefined && /"executor"/i.test(text);
  return isRenamed ? JSON.stringify(bundle) : text;
}

/** What a spec event holds, whichever data type carried it, and whether the agent can apply it. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import { parseSpec } from "../wire/read_spec.ts";
import {
  type DeleteOption,
  type Executor,
  groupOf,
  type ManifestConfig,
} from "../wire/work_spec.ts";
import type { ResourceMeta } from "../wire/work_status.ts";
import { metadataOf, textOf } from "./work.ts";

/** What a work wants on the cluster. */
export interface WorkSpec {
  manifests: JsonObject[];
  configs: ManifestConfig[];
  deleteOption?: DeleteOption;
  executor?: Executor;
}

/** Peers refuse more, so a source that wants to reach them stays below it. */
const MANIFESTS_BYTES_MAX = 500 * 1024;

/** Parses the data of a spec event. Throws `invalid_argument` with what is wrong. */
export function parseWorkSpec(dataType: string, text: string): WorkSpec {
  const { manifests, manifestConfigs, deleteOption, executer } = parseSpec(dataType, text);
  return {
    manifests,
    configs: manifestConfigs ?? [],
    ...(deleteOption ? { deleteOption } : {}),
    ...(executer ? { executor: executer } : {}),
  };
}

/** Says why a spec cannot be applied, or undefined if it can. */
export function rejectionOf(dataType: string, text: string | undefined): string | undefined {
  if (text === undefined || text === "") return "the event has no data";
  try {
    return firstProblem(parseWorkSpec(dataType, text));
  } catch (error) {
    return describeError(error);
  }
}

function firstProblem({ manifests }: WorkSpec): string | undefined {
  if (manifests.length === 0) return "Workload manifests should not be empty";
  let bytes = 0;
  for (const [index, manifest] of manifests.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(manifest));
    const problem = manifestProblem(manifest);
    if (problem !== undefined) return `manifests[${index}]: ${problem}`;
  }
  if (bytes <= MANIFESTS_BYTES_MAX) return undefined;
  return `the size of manifests is ${bytes} bytes which exceeds the ${MANIFESTS_BYTES_MAX} limit`;
}

function manifestProblem(manifest: JsonObject): string | undefined {
  if (textOf(manifest, "kind") === "") return "kind is missing";
  if (textOf(manifest, "apiVersion") === "") return "apiVersion is missing";
  const metadata = metadataOf(manifest);
  if (textOf(metadata, "name") === "") return "metadata.name is missing";
  if (textOf(metadata, "generateName") !== "") return "metadata.generateName is not allowed";
  return undefined;
}

/** What the manifest itself says of its resource; `resource` is known after discovery only. */
export function draftMeta(manifest: JsonObject, ordinal: number): ResourceMeta {
  const apiVersion = textOf(manifest, "apiVersion");
  const metadata = metadataOf(manifest);
  return {
    ordinal,
    group: groupOf(apiVersion),
    version: apiVersion.slice(apiVersion.indexOf("/") + 1),
    kind: textOf(manifest, "kind"),
    resource: "",
    name: textOf(metadata, "name"),
    namespace: textOf(metadata, "namespace"),
  };
}

/** Apply and Delete over Connect. */

import type { ContextValues, ServiceImpl } from "@connectrpc/connect";
import * as q from "../../../gen/queries.ts";
import {
  type ApplyResourceBundleRequest,
  ApplyResourceBundleResponse_Outcome as Outcome,
  type ResourceBundleService,
} from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import type { Db } from "../../db/connect.ts";
import { MaestroError } from "../../errors.ts";
import { parseJsonObject } from "../../json.ts";
import type { ResourceDraft } from "../../spec/draft.ts";
import type { ResourceWriter, WriteOptions, Written } from "../../spec/write.ts";
import type { BundleSpec } from "../../wire/work_spec.ts";
import { CALLER, ownSource } from "./call.ts";
import { presentBundle } from "./present.ts";

const OUTCOMES: Record<Written["outcome"], Outcome> = {
  created: Outcome.CREATED,
  changed: Outcome.UPDATED,
  unchanged: Outcome.UNCHANGED,
};

/** What goes with a change by whoever calls. Throws `permission_denied` if that may change nothing. */
function by(values: ContextValues): WriteOptions {
  const { tracing } = values.get(CALLER);
  return { type: "Bundle", owner: ownSource(values), tracing };
}

/** Makes the two methods. */
export function createWriteCalls(
  db: Db,
  writer: ResourceWriter,
): Pick<ServiceImpl<typeof ResourceBundleService>, "apply" | "delete"> {
  return {
    async apply(request, { values }) {
      const { expectedVersion } = request;
      const id = required("id", request.id);
      const options = { ...by(values), isDryRun: request.dryRun };
      const draft = readDraft(request);
      const written = expectedVersion === 0
        ? await writer.create({ id, draft }, options)
        : await writer.apply(id, draft, {
          ...options,
          version: readVersion(expectedVersion, { min: 0 }),
        });
      return { resourceBundle: presentBundle(written.row), outcome: OUTCOMES[written.outcome] };
    },
    async delete(request, { values }) {
      const id = required("id", request.id);
      const version = readVersion(request.expectedVersion, { min: 1 });
      const options = { ...by(values), version, isDryRun: request.dryRun };
      await writer.delete(id, options);
      const [row] = await q.resourceGet(db, id);
      return row === undefined ? {} : { resourceBundle: presentBundle(row) };
    },
  };
}

function readDraft(request: ApplyResourceBundleRequest): ResourceDraft {
  const { name, metadata, deleteOption, executor } = request;
  const spec = {
    manifests: readEach("manifests", request.manifests),
    ...(request.manifestConfigs.length > 0 && {
      manifestConfigs: readEach("manifest_configs", request.manifestConfigs),
    }),
    ...(deleteOption !== "" && { deleteOption: parseJsonObject(deleteOption, "delete_option") }),
    // The peers' spelling, in which it is stored.
    ...(executor !== "" && { executer: parseJsonObject(executor, "executor") }),
  };
  return {
    ...(name !== "" && { name }),
    consumerName: required("consumer_name", request.consumerName),
    // Its shape is looked at when it is written.
    spec: spec as unknown as BundleSpec,
    ...(metadata !== "" && { metadata: parseJsonObject(metadata, "metadata") }),
  };
}

function readEach(field: string, texts: string[]) {
  return texts.map((text, index) => parseJsonObject(text, `${field}[${index}]`));
}

function readVersion(version: number | undefined, { min }: { min: number }): number | undefined {
  if (version === undefined || version >= min) return version;
  const reason = `expected_version must be at least ${min}, and is ${version}`;
  throw new MaestroError("invalid_argument", reason);
}

function required(field: string, text: string): string {
  if (text !== "") return text;
  throw new MaestroError("invalid_argument", `${field} is required`);
}

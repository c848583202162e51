/** What an event of a source asks for, whichever door it came through: create, update or delete a resource. */

import { MaestroError } from "../errors.ts";
import { parseJsonObject } from "../json.ts";
import { dns1123SubdomainErrors } from "../kube_names.ts";
import {
  type CloudEvent,
  EXT,
  integerExtension,
  isWorkType,
  MANIFEST_BUNDLES,
  MANIFESTS,
  optionalStringExtension,
  stringExtension,
  timeExtension,
} from "../wire/event.ts";
import { ACTION, type EventType } from "../wire/event_type.ts";
import { parseSpec, peersBundleText } from "../wire/read_spec.ts";
import type { Acceptor } from "./accept.ts";
import { longNumberError, validateBundle, validateSingle } from "./validate.ts";

/** A change that a source asks for. */
export interface SpecChange {
  /** Resolved means committed. */
  accept(acceptor: Acceptor): Promise<unknown>;
  /** What failed, as the Go server words it: `create resource`, `get resource` … */
  nameFailure(error: unknown): string;
}

/** The AppliedManifestWork is named `<64 hex>-<id>`, and Kubernetes names have at most 253 characters. */
const ID_LENGTH_MAX = 188;

/**
 * Reads a spec event of a source.
 *
 * Throws `invalid_argument` if its action is unknown, or it does not say what it is about. Its data is looked
 * at when it is accepted.
 */
export function readSpecChange(event: CloudEvent, type: EventType): SpecChange {
  const verb = VERBS.get(type.action);
  if (verb === undefined || type.subresource !== "spec") {
    throw new MaestroError("invalid_argument", `unsupported action ${type.action}`);
  }
  const target = readTarget(event, type);
  return {
    accept: async (acceptor) => await verb.accept(acceptor, event, target),
    nameFailure: verb.nameFailure,
  };
}

interface Target {
  id: string;
  consumerName: string;
  version: number;
  dataType: string;
}

function readTarget(event: CloudEvent, type: EventType): Target {
  try {
    if (!isWorkType(type.dataType)) {
      throw new MaestroError(
        "invalid_argument",
        `the data type must be "${MANIFEST_BUNDLES}" or "${MANIFESTS}"`,
      );
    }
    checkMetadata(event);
    timeExtension(event, EXT.deletionTimestamp);
    const version = integerExtension(event, EXT.resourceVersion);
    if (version < 0) {
      throw new MaestroError("invalid_argument", "resourceversion must not be negative");
    }
    return {
      id: stringExtension(event, EXT.resourceId),
      consumerName: stringExtension(event, EXT.clusterName),
      version,
      dataType: type.dataType,
    };
  } catch (error) {
    if (!(error instanceof MaestroError)) throw error;
    const message = `failed to decode cloudevent: ${error.message}`;
    throw new MaestroError(error.code, message, { cause: error });
  }
}

interface Verb {
  accept(acceptor: Acceptor, event: CloudEvent, target: Target): Promise<unknown>;
  nameFailure(error: unknown): string;
}

// A map: an action is the caller's word, and objects have members that nobody gave them.
const VERBS = new Map<string, Verb>([
  [ACTION.create, {
    nameFailure: () => "create resource",
    accept(acceptor, event, { id, consumerName, version, dataType }) {
      const given = id === "" ? crypto.randomUUID() : id;
      checkId(given);
      return acceptor.create({
        ...readSpec(event, dataType, { isUpdate: false }),
        id: given,
        name: given,
        source: event.source,
        consumerName,
        version: version === 0 ? 1 : version,
      });
    },
  }],
  [ACTION.update, {
    nameFailure: (error) =>
      error instanceof MaestroError && error.code === "not_found"
        ? "get resource"
        : "update resource",
    accept: async (acceptor, event, { id, version, dataType }) =>
      await acceptor.update({
        ...readSpec(event, dataType, { isUpdate: true }),
        id,
        source: event.source,
        version,
      }),
  }],
  [ACTION.delete, {
    nameFailure: () => "delete resource",
    accept: (acceptor, event, { id }) => acceptor.delete({ id, source: event.source }),
  }],
]);

function readSpec(event: CloudEvent, dataType: string, options: { isUpdate: boolean }) {
  const { data } = event;
  const bundle = data === undefined ? undefined : parseSpec(dataType, data);
  const metadata = optionalStringExtension(event, EXT.metadata);
  if (dataType === MANIFESTS) {
    validateSingle(bundle?.manifests[0], options);
    return { spec: data ?? "{}", metadata, event, type: "Single" as const };
  }
  validateBundle(bundle, options);
  const spec = data === undefined || bundle === undefined ? "{}" : peersBundleText(data, bundle);
  return { spec, metadata, event, type: "Bundle" as const };
}

/** It is searched later, so it must be an object, and it must be one before it is stored. */
function checkMetadata(event: CloudEvent): void {
  const metadata = optionalStringExtension(event, EXT.metadata);
  if (metadata === undefined) return;
  const parsed = parseJsonObject(metadata, "the metadata extension");
  const error = longNumberError("metadata", parsed);
  if (error !== undefined) throw new MaestroError("invalid_argument", error);
}

/** Throws `invalid_argument` if an id that somebody chose could not be delivered. */
export function checkId(id: string): void {
  const errors = dns1123SubdomainErrors(id);
  if (id.length > ID_LENGTH_MAX) errors.push(`must be no more than ${ID_LENGTH_MAX} characters`);
  if (errors.length === 0) return;
  throw new MaestroError(
    "invalid_argument",
    `Cannot create resource "${id.slice(0, 200)}": the id ${errors.join(", ")}`,
  );
}

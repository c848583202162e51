/** The definition of AppliedManifestWork, which the agent installs where it is missing. */

import { MaestroError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Kube, ResourceType } from "./kube_api.ts";
import { KubeError } from "./kube_api.ts";
import { FIELD_OWNER } from "./work.ts";

const GROUP = "work.open-cluster-management.io";
/** The API version of AppliedManifestWork, as owner references spell it. */
export const LEDGER_API_VERSION = `${GROUP}/v1`;
/** The kind of the objects that own what the agent applies. */
export const LEDGER_KIND = "AppliedManifestWork";

const LEDGER_TYPE: ResourceType = {
  group: GROUP,
  version: "v1",
  kind: LEDGER_KIND,
  resource: "appliedmanifestworks",
  isNamespaced: false,
};

/** A new type is served a moment after it is defined. */
const SERVED_TIMEOUT_MS = 30_000;
const SERVED_POLL_MS = 50;

const text = { type: "string" };
const appliedResource = {
  type: "object",
  required: ["resource", "name", "version"],
  properties: {
    group: text,
    version: text,
    resource: text,
    namespace: text,
    name: text,
    uid: text,
  },
};

const definition: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `appliedmanifestworks.${GROUP}` },
  spec: {
    group: GROUP,
    scope: "Cluster",
    names: {
      kind: LEDGER_KIND,
      listKind: "AppliedManifestWorkList",
      plural: "appliedmanifestworks",
      singular: "appliedmanifestwork",
    },
    versions: [{
      name: "v1",
      served: true,
      storage: true,
      subresources: { status: {} },
      schema: {
        openAPIV3Schema: {
          description: "What an agent applied for one ManifestWork, and owns.",
          type: "object",
          properties: {
            apiVersion: text,
            kind: text,
            metadata: { type: "object" },
            spec: {
              type: "object",
              properties: { hubHash: text, agentID: text, manifestWorkName: text },
            },
            status: {
              type: "object",
              properties: {
                appliedResources: { type: "array", items: appliedResource },
                evictionStartTime: { type: "string", format: "date-time" },
              },
            },
          },
        },
      },
    }],
  },
};

/**
 * Makes sure that the cluster serves AppliedManifestWork, and returns its type.
 *
 * The type is ours, so nothing has to be discovered: a reading of an object that is not there tells
 * whether it is served, the moment it is.
 */
export async function installLedgerType(kube: Kube): Promise<ResourceType> {
  if (await isServed(kube)) return LEDGER_TYPE;
  const type = await kube.resolve("apiextensions.k8s.io/v1", "CustomResourceDefinition");
  if (type === undefined) throw missing("the cluster serves no CustomResourceDefinition");
  try {
    const ref = { type, namespace: "", name: `${LEDGER_TYPE.resource}.${GROUP}` };
    await kube.create(ref, definition, { fieldManager: FIELD_OWNER });
  } catch (error) {
    // Another agent was faster.
    if (!(error instanceof KubeError && error.reason === "AlreadyExists")) throw error;
  }
  const deadline = performance.now() + SERVED_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (await isServed(kube)) return LEDGER_TYPE;
    await Bun.sleep(SERVED_POLL_MS);
  }
  throw missing(`it is defined, but not served after ${SERVED_TIMEOUT_MS} ms`);
}

async function isServed(kube: Kube): Promise<boolean> {
  try {
    await kube.get({ type: LEDGER_TYPE, namespace: "", name: "is-it-served" });
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.reason === "PathNotFound") return false;
    throw error;
  }
}

function missing(state: string): MaestroError {
  return new MaestroError("unavailable", `Cannot install ${LEDGER_KIND}: ${state}`);
}

/** What the sources of a run ask for: ConfigMaps that carry a token, and the feedback that they want. */

import { isObject, type JsonObject } from "../../src/lib/json.ts";

const NAMESPACE = "default";
/** Names of objects that belong to nobody who is managed. */
export const FOREIGN_PREFIX = "foreign-";
/** The annotation that others write, and that the sources want to hear of. */
export const NOISE = "noise";

/** One of the ConfigMaps of a resource. */
export function configMap(name: string, token: number): JsonObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: NAMESPACE },
    data: { token: String(token) },
  };
}

/** The data of a bundle of that many ConfigMaps, named for the resource. */
export function bundleOf(resource: string, token: number, count: number): string {
  const names = Array.from({ length: count }, (_, index) => `${resource}-${index}`);
  return JSON.stringify({
    manifests: names.map((name) => configMap(name, token)),
    manifestConfigs: [{
      resourceIdentifier: {
        group: "",
        resource: "configmaps",
        name: names[0],
        namespace: NAMESPACE,
      },
      feedbackRules: [{
        type: "JSONPaths",
        jsonPaths: [{ name: NOISE, path: `.metadata.annotations.${NOISE}` }],
      }],
    }],
  });
}

/** A ConfigMap as it is on a cluster. */
export interface Seen {
  name: string;
  uid: string;
  token: number;
  noise: string | undefined;
}

/** Reads a ConfigMap; one without a token that is a number has the token NaN. */
export function readConfigMap(object: JsonObject): Seen {
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  const content = isObject(object["data"]) ? object["data"] : {};
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  const noise = annotations[NOISE];
  return {
    name: String(metadata["name"]),
    uid: String(metadata["uid"]),
    token: Number(content["token"] ?? NaN),
    noise: typeof noise === "string" ? noise : undefined,
  };
}

/** The resource that an object's name is of; undefined for what is nobody's. */
export function resourceOf(name: string): { resource: string; index: number } | undefined {
  const [, resource, index] = /^(.+)-(\d+)$/.exec(name) ?? [];
  if (resource === undefined || name.startsWith(FOREIGN_PREFIX)) return undefined;
  return { resource, index: Number(index) };
}

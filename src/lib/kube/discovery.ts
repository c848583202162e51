/** Finds out which types an API server serves, and remembers it. */

import { isObject, type JsonObject } from "../json.ts";
import { KubeError, type ResourceType } from "../work/kube_api.ts";

export interface Discovery {
  /** The type of a kind; undefined if the server does not serve it. One that is expected is asked for each time. */
  resolve(
    apiVersion: string,
    kind: string,
    options?: { isExpected?: boolean },
  ): Promise<ResourceType | undefined>;
  /** Finds a type by its resource in whatever version is served; undefined if there is none. Always asks. */
  relocate(type: ResourceType): Promise<ResourceType | undefined>;
  /** To be called when the server no longer serves a type that we knew. */
  forget(type: ResourceType): void;
}

/** A definition that was just made is found this much later, at worst; unknown kinds cost a call this often. */
const ASK_AGAIN_MS_MIN = 2_000;

interface GroupVersion {
  types: Map<string, ResourceType>;
  askedAtMs: number;
}

/** Discovery over `read`, which gets a path and throws a `KubeError` with 404 where nothing is served. */
export function createDiscovery(
  read: (path: string) => Promise<JsonObject>,
  nowMs: () => number = () => performance.now(),
): Discovery {
  const known = new Map<string, GroupVersion>();
  const asking = new Map<string, Promise<GroupVersion>>();

  const ask = async (group: string, version: string): Promise<GroupVersion> => {
    const apiVersion = joinApiVersion(group, version);
    // The clock starts with the question: an answer that took long is an old one.
    const askedAtMs = nowMs();
    let types = new Map<string, ResourceType>();
    try {
      types = readTypes(await read(basePath(group, version)), group, version);
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 404)) throw error;
    }
    const found = { types, askedAtMs };
    known.set(apiVersion, found);
    return found;
  };

  return {
    async resolve(apiVersion, kind, { isExpected = false } = {}) {
      const parts = parseApiVersion(apiVersion);
      if (parts === undefined) return undefined;
      const cached = known.get(apiVersion);
      const type = cached?.types.get(kind);
      if (type !== undefined) return type;
      const isRecent = cached !== undefined && nowMs() - cached.askedAtMs < ASK_AGAIN_MS_MIN;
      if (isRecent && !isExpected) return undefined;
      let answer = asking.get(apiVersion);
      if (answer === undefined) {
        answer = ask(parts.group, parts.version).finally(() => asking.delete(apiVersion));
        asking.set(apiVersion, answer);
      }
      return (await answer).types.get(kind);
    },
    async relocate({ group, resource }) {
      // Nothing is taken for unserved because somebody answers 404: a proxy knows no groups.
      const versions = group === "" ? ["v1"] : versionsOf(await read("/apis"), group);
      for (const version of versions) {
        const types = readTypes(await read(basePath(group, version)), group, version);
        const found = types.values().find((type) => type.resource === resource);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    forget(type) {
      known.delete(joinApiVersion(type.group, type.version));
    },
  };
}

/** The path below which a group version lives; the core group has one of its own. */
export function basePath(group: string, version: string): string {
  const name = encodeURIComponent(version);
  return group === "" ? `/api/${name}` : `/apis/${encodeURIComponent(group)}/${name}`;
}

function joinApiVersion(group: string, version: string): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Undefined for what can be no apiVersion, which therefore nobody serves. */
export function parseApiVersion(
  apiVersion: string,
): { group: string; version: string } | undefined {
  const parts = apiVersion.split("/");
  const [group = "", version = ""] = parts.length === 1 ? ["", ...parts] : parts;
  return version === "" || parts.length > 2 || (parts.length === 2 && group === "")
    ? undefined
    : { group, version };
}

/** The versions of a group, the preferred one first, from the list of all groups. */
function versionsOf({ groups }: JsonObject, group: string): string[] {
  if (!Array.isArray(groups)) throw new KubeError(0, "InvalidAnswer", "Kubernetes lists no groups");
  const found = groups.filter(isObject).find(({ name }) => name === group);
  const versions: unknown = found?.["versions"];
  return (Array.isArray(versions) ? versions.filter(isObject) : []).map(({ version }) =>
    String(version)
  );
}

function readTypes(list: JsonObject, group: string, version: string): Map<string, ResourceType> {
  const types = new Map<string, ResourceType>();
  const resources: unknown = list["resources"];
  for (const each of Array.isArray(resources) ? resources : []) {
    if (!isObject(each)) continue;
    const { name, kind, namespaced } = each;
    if (typeof name !== "string" || typeof kind !== "string") continue;
    // `pods/eviction` and its like are not types of their own.
    if (name.includes("/") || types.has(kind)) continue;
    types.set(kind, { group, version, kind, resource: name, isNamespaced: namespaced === true });
  }
  return types;
}

/** ConfigMaps of works on a cluster: who owns them, and what the AppliedManifestWork lists. */

import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { refOf } from "../kube/objects.ts";
import { type ConfigMap, configMap, ledgerRef } from "./one_agent.ts";

export interface OwnedMaps {
  mapRef(name: string): Promise<ObjectRef>;
  find(name: string): Promise<JsonObject | undefined>;
  uidOf(name: string): Promise<unknown>;
  ownersOf(name: string): Promise<JsonObject[]>;
  /** The AppliedManifestWork of a work. */
  ledgerOf(uid: string): Promise<JsonObject | undefined>;
  /** What that lists as applied. */
  listed(uid: string): Promise<{ name: string; uid: string }[]>;
}

/** Looks at the ConfigMaps of one cluster. */
export function ownedMaps(kube: Kube): OwnedMaps {
  const mapRef = (name: string) => refOf(kube, "v1", "ConfigMap", name);
  const find = async (name: string) => await kube.get(await mapRef(name));
  const ledgerOf = async (uid: string) => await kube.get(await ledgerRef(kube, uid));
  return {
    mapRef,
    find,
    uidOf: async (name) => metadataOf(await find(name))["uid"],
    ownersOf: async (name) =>
      (metadataOf(await find(name))["ownerReferences"] ?? []) as JsonObject[],
    ledgerOf,
    listed: async (uid) =>
      ((await ledgerOf(uid))?.["status"] as { appliedResources?: { name: string; uid: string }[] })
        ?.appliedResources ?? [],
  };
}

/** A new work of ConfigMaps whose names nobody else has. */
export function maps(
  ...names: string[]
): { uid: string; names: string[]; spec: { manifests: ConfigMap[] } } {
  const uid = crypto.randomUUID();
  const own = names.map((name) => `${name}-${uid}`);
  return { uid, names: own, spec: { manifests: own.map((name) => configMap(name, {})) } };
}

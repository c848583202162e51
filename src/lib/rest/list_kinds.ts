/** The lists that there are. */

import * as q from "../../gen/queries.ts";
import { readConsumers } from "../consumer/consumers.ts";
import type { Db } from "../db/connect.ts";
import { canonicalJson, type JsonObject } from "../json.ts";
import { CONSUMERS, type Listed, RESOURCES } from "../search/listed.ts";
import type { ResourceRow } from "../spec/door.ts";
import { writeBundle } from "./bundle_text.ts";
import type { Model } from "./fields.ts";
import { presentConsumer, presentResource } from "./present.ts";
import { presentBundle } from "./present_bundle.ts";

/** Which documents of a row are read. */
export interface Documents {
  spec: boolean;
  status: boolean;
}

/** One item of a list, which is made when it is asked for. */
export interface Listing {
  id: string;
  item(): JsonObject;
  /** JSON, in parts. */
  text(): string[];
}

export interface ListKind {
  kind: string;
  model: Model;
  listed: Listed;
  type?: "Single" | "Bundle";
  /** Reads items, in no order; who is gone is not among them. */
  read(db: Db, ids: string[], documents: Documents): Promise<Listing[]>;
}

const EVERY = { id: false, kind: false, href: false, name: false, created_at: false };
const RESOURCE = {
  ...EVERY,
  consumer_name: false,
  updated_at: false,
  deleted_at: false,
  version: false,
  delete_option: true,
  delivery: true,
  status: true,
};

/** Members that are made from the spec, and from the status. */
export const FROM_SPEC = [
  ...["manifests", "manifest_configs", "delete_option", "executor"],
  ...["manifest", "group_resource", "update_strategy"],
];
export const FROM_STATUS = ["status", "delivery"];

const readResources = (
  present: (row: ResourceRow) => JsonObject,
  write: (row: ResourceRow) => string[],
): ListKind["read"] => {
  return async (db, ids, { spec, status }) => {
    const rows = await q.resourceReadListed(db, ids, spec, status);
    return rows.map((row) => ({
      id: row.id,
      item: () => present(row),
      text: () => write(row),
    }));
  };
};

export const BUNDLE_LIST: ListKind = {
  kind: "ResourceBundleList",
  listed: RESOURCES,
  type: "Bundle",
  model: {
    name: "ResourceBundle",
    members: {
      ...RESOURCE,
      executor: true,
      manifest_configs: false,
      manifests: false,
      metadata: true,
    },
  },
  read: readResources((row) => presentBundle(row), writeBundle),
};

export const RESOURCE_LIST: ListKind = {
  kind: "ResourceList",
  listed: RESOURCES,
  type: "Single",
  model: {
    name: "Resource",
    members: { ...RESOURCE, group_resource: true, manifest: true, update_strategy: true },
  },
  read: readResources(presentResource, (row) => [canonicalJson(presentResource(row))]),
};

export const CONSUMER_LIST: ListKind = {
  kind: "ConsumerList",
  listed: CONSUMERS,
  model: {
    name: "Consumer",
    members: {
      ...EVERY,
      updated_at: false,
      labels: true,
      connection: false,
      last_seen_at: false,
      agent_version: false,
    },
  },
  async read(db, ids) {
    const consumers = await readConsumers(db, ids);
    return consumers.map((one) => {
      const item = presentConsumer(one);
      return { id: one.id, item: () => item, text: () => [canonicalJson(item)] };
    });
  },
};

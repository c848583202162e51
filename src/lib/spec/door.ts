/** What the doors ask of the spec flow: create, update and delete resources. */

import type { ResourceGetRow } from "../../gen/queries.ts";
import type { CloudEvent } from "../wire/event.ts";

/** A resource as it is stored; documents are JSON text, times RFC 3339. */
export type ResourceRow = ResourceGetRow;

export type ResourceType = "Single" | "Bundle";

export interface NewResource {
  id: string;
  name: string;
  source: string;
  consumerName: string;
  type: ResourceType;
  version: number;
  /** JSON text of a `BundleSpec`. */
  spec: string;
  /** JSON text of a ManifestWork's metadata. */
  metadata?: string;
  /** Its attributes are stored; its data is not read. */
  event: CloudEvent;
}

export interface ResourceUpdate {
  id: string;
  /** Refused if the resource belongs to another source. */
  source?: string;
  /** The version it replaces; 0 replaces whatever is stored. */
  version: number;
  spec: string;
  metadata?: string;
  event: CloudEvent;
}

/** Accepts specs. Its `MaestroError`s have texts that callers may see. */
export interface SpecDoor {
  create(resource: NewResource): Promise<ResourceRow>;
  update(update: ResourceUpdate): Promise<ResourceRow>;
  /** What is not there, or being deleted already, is no error. */
  delete(id: string, by: { source?: string }): Promise<void>;
}

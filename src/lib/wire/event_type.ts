/** The type attribute: `<group>.<version>.<resource>.<spec|status>.<action>`. */

import { MaestroError } from "../errors.ts";

export interface EventType {
  /** Group, version and resource, joined by dots. */
  dataType: string;
  subresource: "spec" | "status";
  /** `create_request`, `resync_response` …; receivers must tolerate actions they do not know. */
  action: string;
}

export const ACTION = {
  create: "create_request",
  update: "update_request",
  delete: "delete_request",
  resyncRequest: "resync_request",
  resyncResponse: "resync_response",
} as const;

const DATA_TYPE = /^[^.]+(?:\.[^.]+){2,}$/;

/** Parses a type. Throws if it has fewer than five parts or another subresource. */
export function parseEventType(text: string): EventType {
  const last = text.lastIndexOf(".");
  const middle = text.lastIndexOf(".", last - 1);
  const dataType = text.slice(0, middle);
  const action = text.slice(last + 1);
  if (middle < 0 || action === "" || !isDataType(dataType)) {
    throw invalid(text, "expected <group>.<version>.<resource>.<subresource>.<action>");
  }
  const subresource = text.slice(middle + 1, last);
  if (subresource !== "spec" && subresource !== "status") {
    throw invalid(text, 'the subresource must be "spec" or "status"');
  }
  return { dataType, subresource, action };
}

/** The text of a type. */
export function formatEventType({ dataType, subresource, action }: EventType): string {
  return `${dataType}.${subresource}.${action}`;
}

/** True for a data type: at least group, version and resource. */
export function isDataType(text: string): boolean {
  return DATA_TYPE.test(text);
}

function invalid(text: string, state: string): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `failed to parse cloud event type "${text}": ${state}`,
  );
}

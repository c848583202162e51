/** Reads what a request carries, as JSON or as YAML, and says which it must be. */

import { HTTPException } from "hono/http-exception";
import { describeError, MaestroError } from "../errors.ts";
import { isObject, type JsonObject, parseDocument } from "../json.ts";
import { parseYaml } from "../yaml.ts";
import { invalidFormat, readText } from "./body.ts";
import type { RestContext } from "./routes.ts";

/** How a body is to be understood. */
export type Format = "json" | "yaml" | "merge-patch" | "json-patch";

/** A body, and what it says. */
export interface RequestDocuments {
  format: Format;
  /** As it was sent. */
  text: string;
  /** One for JSON, as many as there are for YAML. */
  documents: unknown[];
}

/** What curl sends, and what sends nothing, have always counted as JSON. */
const FORMATS: Record<string, Format> = {
  "": "json",
  "text/plain": "json",
  "text/json": "json",
  "application/x-www-form-urlencoded": "json",
  "application/json": "json",
  "application/merge-patch+json": "merge-patch",
  "application/json-patch+json": "json-patch",
  "application/yaml": "yaml",
  "application/x-yaml": "yaml",
  "text/yaml": "yaml",
  "text/x-yaml": "yaml",
};

const SHOWN: Record<Format, string> = {
  json: "application/json",
  yaml: "application/yaml",
  "merge-patch": "application/merge-patch+json",
  "json-patch": "application/json-patch+json",
};

/** Reads a body in one of these formats. Throws what the client did wrong. */
export async function readDocuments(
  c: RestContext,
  formats: readonly Format[],
  limits: { bytesMax?: number } = {},
): Promise<RequestDocuments> {
  const { type, charset } = readContentType(c.req.raw.headers);
  const format = Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined;
  if (format === undefined || !formats.includes(format)) throw unsupported(type, formats);
  const text = await readText(c, { charset, ...limits });
  return { format, text, documents: parseDocuments(text, format) };
}

/** Reads a body that must be one object. */
export async function readObject(c: RestContext): Promise<JsonObject> {
  return oneObject(await readDocuments(c, ["json", "yaml"]));
}

/** The one object of a body. */
export function oneObject({ documents }: RequestDocuments): JsonObject {
  const [document] = documents;
  if (documents.length > 1) {
    throw invalidFormat(`it must be one document, not ${documents.length}`);
  }
  if (isObject(document)) return document;
  throw invalidFormat("Cannot read the request body: it must be a JSON object");
}

/** The media type of a body and its charset, in lower case. */
export function readContentType(headers: Headers): { type: string; charset: string } {
  const [type = "", ...parameters] = (headers.get("content-type") ?? "").split(";");
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/i.exec(parameter)?.[1])
    .find((value) => value !== undefined);
  return { type: type.trim().toLowerCase(), charset: charset ?? "utf-8" };
}

function parseDocuments(text: string, format: Format): unknown[] {
  try {
    if (format === "yaml") return parseYaml(text, "the request body");
    return [parseDocument(text, "the request body")];
  } catch (error) {
    const syntax = format === "yaml" || !(error instanceof MaestroError)
      ? error
      : error.cause ?? error;
    throw invalidFormat(describeError(syntax), error);
  }
}

function unsupported(type: string, formats: readonly Format[]): HTTPException {
  const known = formats.map((format) => SHOWN[format]).join(", ");
  const shown = JSON.stringify(type.slice(0, 100));
  return new HTTPException(415, {
    message: `Unable to read request body: its type must be one of ${known}, not ${shown}`,
  });
}

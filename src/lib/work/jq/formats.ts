/** jq's formats: `@base64`, `@csv` and their like. */

import { JqError, show, toText, typeOf } from "./values.ts";

const asText = (value: unknown): string => typeof value === "string" ? value : toText(value);

const HTML: Record<string, string> = {
  "<": "&lt;",
  ">": "&gt;",
  "&": "&amp;",
  "'": "&#39;",
  '"': "&quot;",
};

const FORMATS: Record<string, (value: unknown) => string> = {
  text: asText,
  json: toText,
  html: (value) => asText(value).replace(/[<>&'"]/g, (char) => HTML[char] ?? char),
  uri: (value) =>
    encodeURIComponent(asText(value).toWellFormed())
      .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
  csv: (value) => row(value, ",", (text) => `"${text.replaceAll('"', '""')}"`),
  tsv: (value) =>
    row(
      value,
      "\t",
      (text) =>
        text.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n")
          .replaceAll("\r", "\\r"),
    ),
  sh: (value) => (Array.isArray(value) ? value : [value]).map(shellWord).join(" "),
  base64: (value) => Buffer.from(asText(value)).toString("base64"),
  base64d: (value) => Buffer.from(asText(value), "base64").toString(),
};

/** True for the name of a format. */
export function isFormat(name: string): boolean {
  return Object.hasOwn(FORMATS, name);
}

/** A value in a format. Throws a `JqError` if there is no such format. */
export function formatAs(format: string, value: unknown): string {
  const found = isFormat(format) ? FORMATS[format] : undefined;
  if (found === undefined) throw new JqError(`format not defined: @${format}`);
  return found(value);
}

function row(value: unknown, separator: string, escape: (text: string) => string): string {
  if (!Array.isArray(value)) throw new JqError(`${show(value)} cannot be a row, only an array can`);
  return value.map((cell) => {
    if (typeof cell === "string") return escape(cell);
    if (cell === null) return "";
    if (isScalar(cell)) return toText(cell);
    throw new JqError(`${show(cell)} is not valid in a row`);
  }).join(separator);
}

function shellWord(value: unknown): string {
  if (typeof value === "string") return `'${value.replaceAll("'", "'\\''")}'`;
  if (isScalar(value)) return toText(value);
  throw new JqError(`${show(value)} cannot be escaped for a shell`);
}

function isScalar(value: unknown): boolean {
  return !["array", "object"].includes(typeOf(value));
}

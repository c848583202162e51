/** Answers with the OpenAPI document: as JSON, as YAML, or as a page to read. */

import { createHash } from "node:crypto";
import documentFile from "../../gen/openapi.json" with { type: "file" };
import pageFile from "../../gen/openapi.html" with { type: "file" };
import { badRequest } from "../search/refusal.ts";
import { chooseType } from "./acceptable.ts";
import { chooseEncoding, type Encoding } from "./encoding.ts";
import { isHeld } from "./preconditions.ts";
import type { RestContext } from "./routes.ts";

// Both are paths, also in an executable: half a megabyte that is not read until somebody asks. The compiler takes
// them for what their names say.
const DOCUMENT_PATH = documentFile as unknown as string;
const PAGE_PATH = pageFile as unknown as string;

type Format = "json" | "yaml" | "html";

const FORMAT_OF_TYPE = {
  "application/json": "json",
  "application/yaml": "yaml",
  "text/html": "html",
  "application/openapi+json": "json",
  "application/vnd.oai.openapi+json": "json",
  "application/openapi+yaml": "yaml",
  "application/vnd.oai.openapi": "yaml",
  "application/x-yaml": "yaml",
  "text/yaml": "yaml",
} as const satisfies Record<string, Format>;

const CONTENT_TYPE: Record<Format, string> = {
  json: "application/json",
  yaml: "application/yaml",
  html: "text/html; charset=utf-8",
};

/** Made when somebody asks for it first. */
interface Shown {
  text: string;
  tag: string;
  packed: Map<Encoding, Uint8Array<ArrayBuffer>>;
}

const shown = new Map<Format, Shown>();

/** Answers in the format that the address or the client asks for. */
export async function answerOpenapi(c: RestContext): Promise<Response> {
  const format = parseFormat(new URL(c.req.url).searchParams.get("format")) ??
    FORMAT_OF_TYPE[chooseType(c, Object.keys(FORMAT_OF_TYPE) as (keyof typeof FORMAT_OF_TYPE)[])];
  const { text, tag, packed } = await show(format);
  c.header("Vary", "Authorization, Accept, Accept-Encoding");
  // Weak: it is the same whatever the encoding.
  c.header("ETag", `W/${tag}`);
  // Nobody looks at an old one after an upgrade.
  c.header("Cache-Control", "no-cache");
  if (isHeld(c, tag)) return c.body(null, 304);
  c.header("Content-Type", CONTENT_TYPE[format]);
  c.header("X-Content-Type-Options", "nosniff");
  if (format === "html") c.header("Content-Security-Policy", policy(text));
  const encoding = chooseEncoding(c.req.header("Accept-Encoding"));
  if (encoding === undefined) return c.body(text);
  const bytes = packed.get(encoding) ?? pack(text, encoding);
  packed.set(encoding, bytes);
  c.header("Content-Encoding", encoding);
  return c.body(bytes);
}

function parseFormat(given: string | null): Format | undefined {
  if (given === null) return undefined;
  if (Object.hasOwn(CONTENT_TYPE, given)) return given as Format;
  throw badRequest(
    `the parameter "format" must be one of ${Object.keys(CONTENT_TYPE).join(", ")}`,
  );
}

async function show(format: Format): Promise<Shown> {
  const known = shown.get(format);
  if (known !== undefined) return known;
  const text = await textOf(format);
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  const made = { text, tag: `"${digest}"`, packed: new Map() };
  shown.set(format, made);
  return made;
}

async function textOf(format: Format): Promise<string> {
  const text = await Bun.file(format === "html" ? PAGE_PATH : DOCUMENT_PATH).text();
  return format === "yaml" ? `${Bun.YAML.stringify(JSON.parse(text), null, 2)}\n` : text;
}

function pack(text: string, encoding: Encoding): Uint8Array<ArrayBuffer> {
  return encoding === "gzip" ? Bun.gzipSync(text) : new Uint8Array(Bun.zstdCompressSync(text));
}

/** The page may show its own style, and load nothing at all. */
function policy(page: string): string {
  const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? "";
  const hash = createHash("sha256").update(style).digest("base64");
  return `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; ` +
    "frame-ancestors 'none'";
}

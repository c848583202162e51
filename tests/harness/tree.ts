/** The project's own files as text, with what each TypeScript file imports, for the house rules. */

import { dirname, join, normalize } from "node:path";

export interface SourceFile {
  /** From the root of the project, with slashes. */
  path: string;
  text: string;
  /** The text without its comments. */
  code: string;
  /** Files of the project and packages whose values this file needs when it runs. */
  values: string[];
  /** The same with what is only imported as a type. */
  imports: string[];
  /** The names it exports, and whether each is a value or only a type. */
  exports: { name: string; kind: "value" | "type" }[];
}

/** Every path that git tracks or would track. */
export function listPaths(): string[] {
  const run = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", "-z"]);
  if (run.exitCode !== 0) throw new Error(`Cannot list the files: ${run.stderr.toString()}`);
  return run.stdout.toString().split("\0").filter((path) => path !== "").sort();
}

/** Reads the files; one that vanished since it was listed is left out. */
export async function readTexts(paths: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const path of paths) {
    const file = Bun.file(path);
    if (await file.exists()) texts.set(path, await file.text());
  }
  return texts;
}

/** Reads a TypeScript file: its imports resolved to paths of the project or names of packages. */
export function readSource(path: string, text: string): SourceFile {
  const code = withoutComments(text);
  const scanned = new Bun.Transpiler({ loader: "ts" }).scan(text);
  const values = scanned.imports.map((found) => resolve(path, found.path));
  const written = [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"\n]+)"/g)];
  const imports = written.map((found) => resolve(path, found[1] ?? ""));
  return { path, text, code, values, imports, exports: readExports(code) };
}

/** Every path that can be reached from the entries along the given kind of import. */
export function reach(
  entries: readonly string[],
  files: ReadonlyMap<string, SourceFile>,
  kind: "values" | "imports",
): Set<string> {
  const reached = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    waiting.push(...(files.get(path)?.[kind] ?? []));
  }
  return reached;
}

/** The shortest road from one file to another along value imports, for a message. */
export function road(
  from: string,
  to: string,
  files: ReadonlyMap<string, SourceFile>,
): string {
  const waiting = [[from]];
  const seen = new Set<string>();
  for (let way = waiting.shift(); way !== undefined; way = waiting.shift()) {
    const last = way.at(-1) ?? "";
    if (last === to) return way.join(" -> ");
    if (seen.has(last)) continue;
    seen.add(last);
    for (const next of files.get(last)?.values ?? []) waiting.push([...way, next]);
  }
  return `${from} -> … -> ${to}`;
}

/** The words of a name: `parseHTTPBody`, `parse_http_body` and `PARSE_HTTP_BODY` alike. */
export function words(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
}

function resolve(from: string, specifier: string): string {
  if (specifier.startsWith(".")) return normalize(join(dirname(from), specifier));
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0] ?? specifier;
}

// Only comments that start a line or follow a space: "https://…" and "/api/*" are not comments.
function withoutComments(text: string): string {
  return text
    .replaceAll(/^[ \t]*\/\*[\s\S]*?\*\//gm, "")
    .replaceAll(/(^|[ \t])\/\/.*$/gm, "");
}

function readExports(code: string): SourceFile["exports"] {
  const found: SourceFile["exports"] = [];
  const declared =
    /^export (?:declare )?(?:abstract )?(async function\*?|function\*?|const|let|class|interface|type|enum) (\w+)/gm;
  for (const [, kind = "", name = ""] of code.matchAll(declared)) {
    found.push({ name, kind: kind === "interface" || kind === "type" ? "type" : "value" });
  }
  for (const [, type, list = ""] of code.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
    for (const item of list.split(",").map((text) => text.trim()).filter((text) => text !== "")) {
      const name = item.replace(/^type /, "").split(" as ").at(-1) ?? item;
      const isType = type !== undefined || item.startsWith("type ");
      found.push({ name, kind: isType ? "type" : "value" });
    }
  }
  return found;
}

/**
 * Types the SQL: asks a real PostgreSQL what each query takes and returns, and writes functions for them.
 *
 * `sql/queries/spec_event/claim.sql` becomes `specEventClaim(db, limitCount)`. The header of the file is its
 * interface: a sentence, then `-- $1 name` for each parameter, and `-- not null: a, b` and `-- null: c` for
 * columns where PostgreSQL cannot know. A parameter takes null if `-- null:` names it, or if the text behind its
 * own name says "null".
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyMigrations, type Migration } from "../src/lib/db/apply_migrations.ts";
import { connect, type Db } from "../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { query } from "../src/lib/db/query.ts";
import { TYPES } from "../src/lib/db/types.ts";
import { createLogger } from "../src/lib/log.ts";
import { describeSchema } from "./schema_text.ts";

export interface SqlgenOptions {
  /** The folder that holds `sql/`. */
  root: string;
  /** The folder that gets `src/gen/*.ts` and `sql/schema.sql`. */
  out: string;
}

interface Header {
  sentence: string[];
  parameters: { name: string; comment: string }[];
  notNull: string[];
  null: string[];
}

interface Column {
  name: string;
  table: number;
  number: number;
  type: number;
}

const HEADING = "// Written by tools/sqlgen.ts (`bun run generate`). Do not edit.\n";
const QUERIES = "sql/queries";

/** Writes the list of migrations, the schema's text and the typed queries, and returns their paths. */
export async function sqlgen(options: SqlgenOptions): Promise<string[]> {
  const migrations = readMigrations(join(options.root, "sql/migrations"));
  await using server = await startThrowAway();
  const db = connect(server.url, { maxConnections: 1, applicationName: "sqlgen" });
  try {
    await applyMigrations(db, silent(), migrations);
    const outputs: Record<string, string> = {
      "src/gen/migrations.ts": writeMigrations(migrations),
      "sql/schema.sql": await describeSchema(db),
      "src/gen/queries.ts": await writeQueries(db, options.root),
    };
    for (const [path, text] of Object.entries(outputs)) {
      mkdirSync(join(options.out, path, ".."), { recursive: true });
      writeFileSync(join(options.out, path), text);
    }
    return Object.keys(outputs);
  } finally {
    await db.end();
  }
}

/** Reads the folder of migrations, in order, and insists on numbers without gaps. */
function readMigrations(folder: string): Migration[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
  return names.map((name, index) => {
    const number = String(index + 1).padStart(4, "0");
    if (!new RegExp(`^${number}_[a-z0-9_]+\\.sql$`).test(name)) {
      throw new Error(`${folder}/${name}: its name must be "${number}_<what>.sql"`);
    }
    return { id: name.slice(0, -4), text: readFileSync(join(folder, name), "utf8") };
  });
}

function writeMigrations(migrations: readonly Migration[]): string {
  const imports = migrations.map(({ id }, index) =>
    `import m${index + 1} from "../../sql/migrations/${id}.sql" with { type: "text" };\n`
  );
  const items = migrations.map(({ id }, index) => `  { id: "${id}", text: m${index + 1} },\n`);
  return `/** Every migration, oldest first. */\n\n${HEADING}\n${imports.join("")}\n` +
    "/** Every migration, oldest first. */\n" +
    `export const MIGRATIONS: readonly { id: string; text: string }[] = [\n${items.join("")}];\n`;
}

async function writeQueries(db: Db, root: string): Promise<string> {
  const paths = [...new Bun.Glob("*/*.sql").scanSync(join(root, QUERIES))].sort();
  const imports: string[] = [];
  const functions: string[] = [];
  const problems: string[] = [];
  for (const path of paths) {
    const text = readFileSync(join(root, QUERIES, path), "utf8");
    const name = camelCase(path.slice(0, -4).replace("/", "_"));
    try {
      functions.push(await writeFunction(db, name, path, text));
      imports.push(`import ${name}Text from "../../${QUERIES}/${path}" with { type: "text" };\n`);
    } catch (error) {
      problems.push(`${QUERIES}/${path}: ${explain(error, text)}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const body = functions.join("\n");
  const used = ["execute", "query"].filter((word) => body.includes(`return ${word}`));
  return `/** A typed function for each file of ${QUERIES}. */\n\n${HEADING}\n` +
    'import type { Db } from "../lib/db/connect.ts";\n' +
    `import { ${used.join(", ")} } from "../lib/db/query.ts";\n${imports.join("")}\n${body}`;
}

async function writeFunction(db: Db, name: string, path: string, text: string): Promise<string> {
  const header = parseHeader(text);
  const statement = await db.unsafe(text, [], {}).describe();
  if (statement.types.length !== header.parameters.length) {
    throw new Error(
      `the query has ${statement.types.length} parameters, its header ${header.parameters.length}`,
    );
  }
  const columns = statement.columns as unknown as Column[];
  checkColumns(columns, header);
  const parameters = header.parameters.map((parameter, index) => ({
    name: camelCase(parameter.name),
    comment: parameter.comment,
    type: parameterType(
      statement.types[index] ?? 0,
      header.null.includes(parameter.name) || /\bnull\b/.test(parameter.comment),
    ),
  }));
  const values = `[${parameters.map((parameter) => parameter.name).join(", ")}]`;
  const row = `${name.charAt(0).toUpperCase()}${name.slice(1)}Row`;
  const fields = await Promise.all(
    columns.map(async (column) => `  ${column.name}: ${await columnType(db, column, header)};\n`),
  );
  const result = columns.length > 0 ? `${row}[]` : "number";
  const run = columns.length > 0 ? `query<${row}>` : "execute";
  const signature = parameters.map((parameter) => `  ${parameter.name}: ${parameter.type},\n`);
  return (columns.length > 0
    ? `/** A row of \`${path}\`. */\nexport interface ${row} {\n${fields.join("")}}\n\n`
    : "") +
    docComment(header, columns.length > 0) +
    `export function ${name}(\n  db: Db,\n${signature.join("")}): Promise<${result}> {\n` +
    `  return ${run}(db, ${name}Text, ${values});\n}\n`;
}

function docComment(header: Header, hasRows: boolean): string {
  const lines = [...header.sentence];
  if (!hasRows) lines.push("", "Returns how many rows it touched.");
  for (const { name, comment } of header.parameters) {
    if (comment !== "") lines.push("", `\`${camelCase(name)}\`: ${comment}`);
  }
  const [first = "", ...rest] = lines.map((line) => line.replaceAll("*/", "* /"));
  if (rest.length === 0) return `/** ${first} */\n`;
  return `/**\n${[first, ...rest].map((line) => ` * ${line}`.trimEnd()).join("\n")}\n */\n`;
}

function parseHeader(text: string): Header {
  const header: Header = { sentence: [], parameters: [], notNull: [], null: [] };
  for (const line of text.split("\n")) {
    if (!line.startsWith("--")) break;
    const words = line.slice(2).trim();
    const parameter = /^\$(\d+)\s+(\w+)[:,]?\s*(.*)$/.exec(words);
    const override = /^(not null|null):\s*(.*)$/.exec(words);
    if (parameter) {
      const [, number, name = "", comment = ""] = parameter;
      header.parameters.push({ name, comment });
      if (Number(number) === header.parameters.length) continue;
      throw new Error(`$${number} is described where $${header.parameters.length} should be`);
    }
    if (override) {
      const names = (override[2] ?? "").split(",").map((name) => name.trim());
      (override[1] === "null" ? header.null : header.notNull).push(...names);
    } else header.sentence.push(words);
  }
  while (header.sentence.at(-1) === "") header.sentence.pop();
  if (!header.sentence[0]) {
    throw new Error("its first line must be a comment that says what it does");
  }
  return header;
}

function checkColumns(columns: readonly Column[], header: Header): void {
  const names = columns.map((column) => column.name);
  const double = names.find((name, index) => names.indexOf(name) !== index);
  if (double !== undefined) throw new Error(`it returns two columns named "${double}"`);
  const odd = names.find((name) => !/^[a-z_][a-z0-9_]*$/.test(name));
  if (odd !== undefined) throw new Error(`its column "${odd}" needs a plain name (use "as")`);
  const known = [...names, ...header.parameters.map((parameter) => parameter.name)];
  const unknown = [...header.null, ...header.notNull].find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`its header names "${unknown}", which it neither takes nor returns`);
  }
}

async function columnType(db: Db, column: Column, header: Header): Promise<string> {
  const type = typeScript(column.type, `column "${column.name}"`);
  const text = type.isArray ? `(${type.name} | null)[]` : type.name;
  const isNotNull = header.notNull.includes(column.name) ||
    (!header.null.includes(column.name) && await isNotNullColumn(db, column));
  return isNotNull ? text : `${text} | null`;
}

async function isNotNullColumn(db: Db, column: Column): Promise<boolean> {
  if (column.table === 0) return false;
  const [found] = await query<{ attnotnull: boolean }>(
    db,
    "select attnotnull from pg_attribute where attrelid = $1::oid and attnum = $2::int2",
    [column.table, column.number],
  );
  return found?.attnotnull ?? false;
}

function parameterType(id: number, isNullable: boolean): string {
  const type = typeScript(id, "a parameter");
  // Whole numbers beyond 2^53 may be at hand as bigint.
  const isLarge = [TYPES.int8, TYPES.numeric, TYPES.xid8].some((one) =>
    one?.id === id || one?.arrayId === id
  );
  const name = isLarge ? "string | bigint" : type.name;
  const text = type.isArray ? `readonly (${name} | null)[]` : name;
  return isNullable ? `${text} | null` : text;
}

function typeScript(id: number, what: string): { name: string; isArray: boolean } {
  for (const type of Object.values(TYPES)) {
    if (type.id === id) return { name: type.is, isArray: false };
    if (type.arrayId === id) return { name: type.is, isArray: true };
  }
  throw new Error(`${what} has PostgreSQL's type ${id}, which src/lib/db/types.ts does not know`);
}

/** PostgreSQL's message, with the line that it is about. */
function explain(error: unknown, text: string): string {
  if (!(error instanceof Error)) return String(error);
  const position = "position" in error ? Number(error.position) : 0;
  if (position === 0) return error.message;
  return `${error.message} (line ${text.slice(0, position - 1).split("\n").length})`;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

async function startThrowAway(): Promise<AsyncDisposable & { url: string }> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "maestro-sqlgen-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const server = stack.use(
    await startEmbeddedPostgres({
      stateDirectory: folder,
      log: silent(),
      searchFrom: [],
      settings: { fsync: "off" },
    }),
  );
  const owned = stack.move();
  return { url: server.url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function silent(): ReturnType<typeof createLogger> {
  return createLogger({ level: "error", isTerminal: false, write: () => {} });
}

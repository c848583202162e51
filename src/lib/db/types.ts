/** How values travel between PostgreSQL's text format and ours: nothing is parsed that could lose a digit. */

/** What a query may be given. JSON, timestamps and 64-bit numbers are text. */
export type Scalar = string | number | bigint | boolean | Uint8Array | null;
/** A parameter: a scalar, or a list of them, which may hold nulls. */
export type Parameter = Scalar | readonly Scalar[];

/** The object ids of PostgreSQL's own types that have a TypeScript type, which never change. */
export const TYPES: Record<string, { id: number; arrayId: number; is: TypeScriptType }> = {
  bool: { id: 16, arrayId: 1000, is: "boolean" },
  bytea: { id: 17, arrayId: 1001, is: "Uint8Array" },
  name: { id: 19, arrayId: 1003, is: "string" },
  int8: { id: 20, arrayId: 1016, is: "string" },
  int2: { id: 21, arrayId: 1005, is: "number" },
  int4: { id: 23, arrayId: 1007, is: "number" },
  text: { id: 25, arrayId: 1009, is: "string" },
  oid: { id: 26, arrayId: 1028, is: "number" },
  json: { id: 114, arrayId: 199, is: "string" },
  float4: { id: 700, arrayId: 1021, is: "number" },
  float8: { id: 701, arrayId: 1022, is: "number" },
  bpchar: { id: 1042, arrayId: 1014, is: "string" },
  varchar: { id: 1043, arrayId: 1015, is: "string" },
  date: { id: 1082, arrayId: 1182, is: "string" },
  timestamp: { id: 1114, arrayId: 1115, is: "string" },
  timestamptz: { id: 1184, arrayId: 1185, is: "string" },
  interval: { id: 1186, arrayId: 1187, is: "string" },
  numeric: { id: 1700, arrayId: 1231, is: "string" },
  void: { id: 2278, arrayId: 0, is: "string" },
  uuid: { id: 2950, arrayId: 2951, is: "string" },
  pg_lsn: { id: 3220, arrayId: 3221, is: "string" },
  jsonb: { id: 3802, arrayId: 3807, is: "string" },
  xid8: { id: 5069, arrayId: 271, is: "string" },
};
export type TypeScriptType = "string" | "number" | "boolean" | "Uint8Array";

interface WireType {
  to: number;
  from: number[];
  serialize: (value: unknown) => string;
  parse: (text: string) => unknown;
}

/**
 * The driver's table of types, replaced whole.
 *
 * The driver's own reads arrays with shared state and turns a null in them into the text "NULL", encodes
 * JSON that is already text a second time, and cuts timestamps to milliseconds.
 */
export function wireTypes(): Record<string, WireType> {
  const table: Record<string, WireType> = {};
  for (const [name, type] of Object.entries(TYPES)) {
    const parse = parser(name, type.is);
    // The driver makes the keys properties of a function, which has a `name` already.
    table[`${name}_value`] = { to: type.id, from: [type.id], serialize: encodeText, parse };
    if (type.arrayId === 0) continue;
    table[`${name}_array`] = {
      to: type.arrayId,
      from: [type.arrayId],
      serialize: encodeText,
      parse: (text) => parseArray(text, parse),
    };
  }
  return table;
}

function parser(name: string, is: TypeScriptType): (text: string) => unknown {
  if (is === "number") return Number;
  if (is === "boolean") return (text) => text === "t";
  if (is === "Uint8Array") return (text) => Uint8Array.fromHex(text.slice(2));
  return name === "timestamptz" ? formatTimestamp : (text) => text;
}

/** The text that PostgreSQL reads as this value. The type of the column decides what it means. */
export function encodeText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "t" : "f";
  if (value instanceof Uint8Array) return `\\x${value.toHex()}`;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return encodeArray(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  throw new TypeError(`no column takes a value of type ${typeof value}`);
}

function encodeArray(values: readonly unknown[]): string {
  const items = values.map((value) =>
    value === null ? "NULL" : `"${encodeText(value).replace(/["\\]/g, "\\$&")}"`
  );
  return `{${items.join(",")}}`;
}

/** Reads a one-dimensional array, such as `{1,NULL,"a \"b\""}`. */
function parseArray<T>(text: string, parse: (text: string) => T): (T | null)[] {
  const values: (T | null)[] = [];
  for (let at = 1; at < text.length - 1; at++) {
    if (text[at] === '"') {
      let value = "";
      for (at++; text[at] !== '"'; at++) {
        if (text[at] === "\\") at++;
        value += text[at];
      }
      values.push(parse(value));
      at++;
    } else {
      const comma = text.indexOf(",", at);
      const end = comma < 0 ? text.length - 1 : comma;
      const value = text.slice(at, end);
      values.push(value === "NULL" ? null : parse(value));
      at = end;
    }
  }
  return values;
}

/** RFC 3339 in UTC as Go prints it: microseconds, no trailing zeros. The session's zone is UTC. */
function formatTimestamp(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d) (\S+)\+00$/, "$1T$2Z");
}

/** JSON patches (RFC 6902), which say step by step what becomes of a document. */

import { MaestroError } from "./errors.ts";
import { canonicalJson, isObject, type JsonObject } from "./json.ts";

/** One step of a patch. */
export type PatchStep =
  & { path: string[] }
  & (
    | { op: "add"; value: unknown }
    | { op: "replace"; value: unknown }
    | { op: "test"; value: unknown }
    | { op: "remove" }
    | { op: "move"; from: string[] }
    | { op: "copy"; from: string[] }
  );

/** More would be a document of its own, sent whole; and a step in a long list moves all behind it. */
export const STEPS_MAX = 1_000;
/** Copies of copies grow without end; this is as much as a body may have. */
const COPIED_LENGTH_MAX = 4 * 1024 * 1024;

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Found from behind, since there may be many in front of another digit. */
const TRAILING_ZEROS = /(?<=^|[1-9])0+$/;

const MEMBERS: Record<PatchStep["op"], readonly ("value" | "from")[]> = {
  add: ["value"],
  replace: ["value"],
  test: ["value"],
  remove: [],
  move: ["from"],
  copy: ["from"],
};

/** Parses a patch. Throws `invalid_argument` with the step and what is wrong with it. */
export function parseJsonPatch(value: unknown): PatchStep[] {
  if (!Array.isArray(value)) throw invalid("the patch must be a list of steps");
  if (value.length > STEPS_MAX) throw invalid(`the patch must have at most ${STEPS_MAX} steps`);
  return value.map((step: unknown, index) => parseStep(step, `[${index}]`));
}

function parseStep(step: unknown, at: string): PatchStep {
  if (!isObject(step)) throw invalid(`${at} must be an object`);
  const { op } = step;
  if (typeof op !== "string" || !Object.hasOwn(MEMBERS, op)) {
    throw invalid(`${at}.op must be one of ${Object.keys(MEMBERS).join(", ")}`);
  }
  const kind = op as PatchStep["op"];
  const members = MEMBERS[kind];
  if (members.includes("value") && !("value" in step)) throw invalid(`${at}.value is required`);
  return {
    op: kind,
    path: parsePointer(step["path"], `${at}.path`),
    ...(members.includes("value") && { value: step["value"] }),
    ...(members.includes("from") && { from: parsePointer(step["from"], `${at}.from`) }),
  } as PatchStep;
}

function parsePointer(pointer: unknown, at: string): string[] {
  if (typeof pointer !== "string" || !/^(\/([^~]|~[01])*)?$/s.test(pointer)) {
    throw invalid(`${at} must be a JSON pointer, such as /manifests/0/spec/replicas`);
  }
  return pointer.split("/").slice(1).map((part) =>
    part.replaceAll("~1", "/").replaceAll("~0", "~")
  );
}

/**
 * Applies a patch to a document, which stays as it is.
 *
 * Throws `invalid_argument` if a step names what is not there, and `conflict` if a test fails; then no step
 * counts.
 */
export function applyJsonPatch(document: JsonObject, steps: readonly PatchStep[]): JsonObject {
  let root: unknown = structuredCopy(document);
  let copied = 0;
  steps.forEach((step, index) => {
    const at = `[${index}]`;
    if (step.op === "test") return checkTest(root, step, at);
    if (step.op === "remove") return void (root = write(root, step.path, at, { verb: "remove" }));
    if (step.op === "add" || step.op === "replace") {
      const value = structuredCopy(step.value);
      return void (root = write(root, step.path, at, { verb: step.op, value }));
    }
    const found = read(root, step.from, `${at}.from`);
    if (step.op === "copy" && (copied += canonicalJson(found).length) > COPIED_LENGTH_MAX) {
      throw invalid(`${at}: the patch copies more than ${COPIED_LENGTH_MAX} characters`);
    }
    const value = step.op === "copy" ? structuredCopy(found) : found;
    if (step.op === "move") {
      const isInside = step.path.length > step.from.length &&
        step.from.every((part, depth) => part === step.path[depth]);
      if (isInside) throw invalid(`${at}: a value cannot be moved into itself`);
      root = write(root, step.from, `${at}.from`, { verb: "remove" });
    }
    root = write(root, step.path, at, { verb: "add", value });
  });
  if (!isObject(root)) throw invalid("the patched document must be an object");
  return root;
}

function checkTest(root: unknown, step: { path: string[]; value: unknown }, at: string): void {
  const found = read(root, step.path, at);
  if (isSame(found, step.value)) return;
  const message = `Cannot apply the patch: the test of ${at} failed, ${pointer(step.path)} differs`;
  throw new MaestroError("conflict", message);
}

/** Looks no further than the value that the patch has, so that its tests cost no more than its length. */
function isSame(found: unknown, value: unknown): boolean {
  if (Array.isArray(value)) {
    return Array.isArray(found) && found.length === value.length &&
      value.every((item, index) => isSame(found[index], item));
  }
  if (!isObject(value)) {
    const isScalar = !Array.isArray(found) && !isObject(found);
    return isScalar && scalarText(found) === scalarText(value);
  }
  const members = Object.entries(value);
  return isObject(found) && Object.keys(found).length === members.length &&
    members.every(([key, inner]) => Object.hasOwn(found, key) && isSame(found[key], inner));
}

/** Numbers are the same whatever they are written like (RFC 6902 §4.6): whoever reads `1.0` may send `1`. */
function scalarText(value: unknown): string {
  const text = canonicalJson(value);
  const [, sign, whole = "", fraction = "", exponent = "0"] = NUMBER.exec(text) ?? [];
  if (sign === undefined) return text;
  const digits = (whole + fraction).replace(/^0+/, "");
  const zeros = digits.length - digits.replace(TRAILING_ZEROS, "").length;
  if (zeros === digits.length) return "0";
  return `${sign}${digits.slice(0, digits.length - zeros)}e${
    Number(exponent) - fraction.length + zeros
  }`;
}

function read(root: unknown, path: readonly string[], at: string): unknown {
  return path.reduce((value, part) => member(value, part, path, at), root);
}

function member(value: unknown, part: string, path: readonly string[], at: string): unknown {
  if (Array.isArray(value)) return value[place(value, part, value.length - 1, path, at)];
  if (isObject(value) && Object.hasOwn(value, part)) return value[part];
  throw absent(path, at);
}

type Write = { verb: "remove" } | { verb: "add" | "replace"; value: unknown };

/** Writes at the end of a path, and returns the root, which is another one for an empty path. */
function write(root: unknown, path: readonly string[], at: string, step: Write): unknown {
  const last = path.at(-1);
  if (last === undefined) {
    if (step.verb === "remove") throw invalid(`${at}: the whole document cannot be removed`);
    return step.value;
  }
  const parent = path.slice(0, -1).reduce((value, part) => member(value, part, path, at), root);
  if (Array.isArray(parent)) {
    const max = step.verb === "add" ? parent.length : parent.length - 1;
    const index = step.verb === "add" && last === "-"
      ? parent.length
      : place(parent, last, max, path, at);
    const removed = step.verb === "add" ? 0 : 1;
    parent.splice(index, removed, ...(step.verb === "remove" ? [] : [step.value]));
    return root;
  }
  if (!isObject(parent) || (step.verb !== "add" && !Object.hasOwn(parent, last))) {
    throw absent(path, at);
  }
  if (step.verb === "remove") delete parent[last];
  // Defined and not assigned, so that __proto__ is a key as any other.
  else Object.defineProperty(parent, last, { ...OWN_MEMBER, value: step.value });
  return root;
}

const OWN_MEMBER = { writable: true, enumerable: true, configurable: true };

function place(
  list: unknown[],
  part: string,
  max: number,
  path: readonly string[],
  at: string,
): number {
  if (/^(0|[1-9]\d{0,9})$/.test(part) && Number(part) <= max) return Number(part);
  throw invalid(`${at}: ${pointer(path)} is not in its list, which has ${list.length} entries`);
}

/** A copy of lists and objects; kept numbers are the same ones. */
function structuredCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structuredCopy);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, structuredCopy(inner)]),
  );
}

function pointer(path: readonly string[]): string {
  const text = path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return JSON.stringify(text.slice(0, 200));
}

function absent(path: readonly string[], at: string): MaestroError {
  return invalid(`${at}: ${pointer(path)} does not exist`);
}

function invalid(reason: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot apply the patch: ${reason}`);
}

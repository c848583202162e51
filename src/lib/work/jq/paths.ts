/** Reading, writing and deleting by path. */

import { isObject, type JsonObject } from "../../json.ts";
import { bounded, compare, JqError, numberOf, show, typeOf } from "./values.ts";

/** A part of a list or text: `.[2:4]`. */
interface Slice {
  start: unknown;
  end: unknown;
}

/** One step of a path: a key, an index, or a slice. */
export type Step = unknown;

function isSlice(step: Step): step is Slice & JsonObject {
  return isObject(step) && ("start" in step || "end" in step);
}

/** The value at one step; what is not there is null. */
export function stepInto(value: unknown, step: Step): unknown {
  const type = typeOf(value);
  if (typeof step === "string" && (type === "object" || type === "null")) {
    const object = (value ?? {}) as JsonObject;
    return Object.hasOwn(object, step) ? object[step] : null;
  }
  if (typeOf(step) === "number" && (type === "array" || type === "null")) {
    const list = (value ?? []) as unknown[];
    const index = Math.floor(numberOf(step));
    return list[index < 0 ? index + list.length : index] ?? null;
  }
  if (isSlice(step) && (type === "array" || type === "null" || type === "string")) {
    if (value === null || value === undefined) return null;
    if (typeof value === "string") {
      const chars = [...value];
      return chars.slice(...bounds(step, chars.length)).join("");
    }
    const list = value as unknown[];
    return list.slice(...bounds(step, list.length));
  }
  if (type === "array" && Array.isArray(step)) return indexesOf(value as unknown[], step);
  const name = typeof step === "string" ? `"${step}"` : typeOf(step);
  throw new JqError(`cannot index ${type} with ${name}`);
}

/** Where a list, or a text, has another inside. */
export function indexesOf(list: readonly unknown[], part: readonly unknown[]): number[] {
  if (part.length === 0) return [];
  const found: number[] = [];
  for (let at = 0; at + part.length <= list.length; at++) {
    if (part.every((item, index) => compare(list[at + index], item) === 0)) found.push(at);
  }
  return found;
}

function bounds({ start, end }: Slice, length: number): [number, number] {
  const clamp = (value: unknown, otherwise: number, round: (value: number) => number) => {
    if (value === null || value === undefined) return otherwise;
    if (typeOf(value) !== "number") throw new JqError("a slice needs numbers");
    const index = round(numberOf(value));
    return Math.min(Math.max(index < 0 ? index + length : index, 0), length);
  };
  const from = clamp(start, 0, Math.floor);
  return [from, Math.max(from, clamp(end, length, Math.ceil))];
}

/** The value at a path. */
export function getPath(value: unknown, path: readonly Step[]): unknown {
  return path.reduce((found, step) => found === null ? null : stepInto(found, step), value);
}

/** A copy with another value at a path. */
export function updatePath(
  value: unknown,
  path: readonly Step[],
  update: (old: unknown) => unknown,
): unknown {
  const [step, ...rest] = path;
  if (path.length === 0) return update(value);
  const inner = updatePath(stepInto(value, step), rest, update);
  if (typeof step === "string") return { ...(value as JsonObject | null), [step]: inner };
  const list = [...(value ?? []) as unknown[]];
  if (isSlice(step)) {
    if (!Array.isArray(inner)) {
      throw new JqError("a slice of an array can only be assigned an array");
    }
    const [start, end] = bounds(step, list.length);
    return [...list.slice(0, start), ...inner, ...list.slice(end)];
  }
  const index = Math.floor(numberOf(step));
  const place = index < 0 ? index + list.length : index;
  if (place < 0) throw new JqError("out of bounds negative array index");
  bounded(place);
  while (list.length < place) list.push(null);
  list[place] = inner;
  return list;
}

/** Stands where something was, until all paths have been followed: a deletion must not move the rest. */
const GONE = Symbol("gone");

/** A copy without what the paths name. */
export function deletePaths(value: unknown, paths: readonly (readonly Step[])[]): unknown {
  if (paths.length === 0) return value;
  const marked = paths.reduce(markPath, value);
  return marked === GONE ? null : sweep(marked);
}

function markPath(value: unknown, path: readonly Step[]): unknown {
  const [step, ...rest] = path;
  if (path.length === 0) return GONE;
  if (value === null || value === undefined || value === GONE) return value;
  const mark = (inner: unknown) => markPath(inner, rest);
  if (isObject(value) && typeof step === "string") {
    return Object.hasOwn(value, step) ? { ...value, [step]: mark(value[step]) } : value;
  }
  if (Array.isArray(value) && typeOf(step) === "number") {
    const index = Math.floor(numberOf(step));
    const place = index < 0 ? index + value.length : index;
    return value.map((item, at) => at === place ? mark(item) : item);
  }
  if (Array.isArray(value) && isSlice(step)) {
    const [start, end] = bounds(step, value.length);
    if (rest.length === 0) {
      return value.map((item, at) => at >= start && at < end ? GONE : item);
    }
    const inner = mark(value.slice(start, end)) as unknown[];
    return [...value.slice(0, start), ...inner, ...value.slice(end)];
  }
  throw new JqError(`cannot delete field at ${show(step)} of ${typeOf(value)}`);
}

function sweep(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => item !== GONE).map(sweep);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, member]) => member !== GONE);
  return Object.fromEntries(kept.map(([key, member]) => [key, sweep(member)]));
}

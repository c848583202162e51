/** Waits for what will happen, without sleeping for a guessed time. */

import { canonicalJson } from "../../src/lib/json.ts";

const SHOWN_LENGTH_MAX = 2000;

/**
 * Calls `probe` again and again until `until` holds for its value, and returns that value.
 *
 * Without `until` it waits for a truthy value: something found, a length above zero. A probe that throws is tried again. At the
 * deadline it throws an error with the last value or the last failure.
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  until: (value: T) => boolean = Boolean,
  options: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<T> {
  const { timeoutMs = 10_000, intervalMs = 20 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let last: { value: T } | { error: unknown };
    try {
      const value = await probe();
      if (until(value)) return value;
      last = { value };
    } catch (error) {
      last = { error };
    }
    if (performance.now() >= deadline) {
      const text = "error" in last
        ? `it threw ${String(last.error)}`
        : `it was ${show(last.value)}`;
      const cause = "error" in last ? { cause: last.error } : undefined;
      throw new Error(`Did not happen within ${timeoutMs} ms; at last ${text}`, cause);
    }
    await Bun.sleep(intervalMs);
  }
}

function show(value: unknown): string {
  const text = typeof value === "object" ? canonicalJson(value) : String(value);
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

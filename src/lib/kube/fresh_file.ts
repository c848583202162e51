/** Reads files that others replace while we run: tokens and certificates. */

import { MaestroError } from "../errors.ts";

/** How old the text of a file may be. A rotated token stays valid for longer than this. */
const AGE_MS_MAX = 10_000;

export interface FreshFile {
  /** The file's text without white space around it; `again` reads it whatever its age. */
  read(again?: "again"): Promise<string>;
}

/** A file that is read again when what we know of it is more than ten seconds old. */
export function freshFile(path: string): FreshFile {
  let text = "";
  let readAtMs = -Infinity;
  return {
    async read(again) {
      if (again === undefined && performance.now() - readAtMs < AGE_MS_MAX) return text;
      text = await readText(path);
      readAtMs = performance.now();
      return text;
    },
  };
}

/** The text of a file without white space around it. */
export async function readText(path: string): Promise<string> {
  try {
    return (await Bun.file(path).text()).trim();
  } catch (cause) {
    const state = (cause as { code?: string }).code === "ENOENT"
      ? "it does not exist"
      : String(cause);
    throw new MaestroError("invalid_argument", `Cannot read file "${path}": ${state}`, { cause });
  }
}

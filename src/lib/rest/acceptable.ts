/** What a client may accept as an answer. */

import { HTTPException } from "hono/http-exception";
import type { RestContext } from "./routes.ts";

/** What is answered anywhere. Which route answers what is for the routes to say. */
const OFFERED = ["application/json", "text/event-stream", "application/x-ndjson"];
const LENGTH_MAX = 2_000;

/** Throws 406 if nothing that is answered here would do, before anything is changed. */
export function refuseUnacceptable(c: RestContext): void {
  const header = c.req.header("Accept");
  if (header === undefined || header.trim() === "") return;
  const ranges = header.slice(0, LENGTH_MAX).split(",").map(parseRange);
  if (OFFERED.some((offered) => isAccepted(offered, ranges))) return;
  const shown = JSON.stringify(header.slice(0, 200));
  throw new HTTPException(406, {
    message: `Cannot answer as ${shown}: answers are ${OFFERED.join(", ")}`,
  });
}

interface Range {
  type: string;
  isRefused: boolean;
}

function parseRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter));
  return { type, isRefused: weight !== undefined && Number(weight.split("=")[1]) === 0 };
}

/** The most exact range that names a type decides (RFC 9110 §12.5.1). */
function isAccepted(offered: string, ranges: readonly Range[]): boolean {
  const [family] = offered.split("/");
  for (const type of [offered, `${family}/*`, "*/*"]) {
    const range = ranges.find((range) => range.type === type);
    if (range !== undefined) return !range.isRefused;
  }
  return false;
}

/** What a client may accept as an answer. */

import { HTTPException } from "hono/http-exception";
import type { RestContext } from "./routes.ts";

/** What is answered anywhere. Which route answers what is for the routes to say. */
const OFFERED = ["application/json", "text/event-stream", "application/x-ndjson"];
const LENGTH_MAX = 2_000;

/** Throws 406 if nothing that is answered here would do, before anything is changed. */
export function refuseUnacceptable(c: RestContext): void {
  chooseType(c, OFFERED);
}

/** The type that the client likes best; the first of those that it likes equally. Throws 406 if it takes none. */
export function chooseType<const Type extends string>(
  c: RestContext,
  offered: readonly Type[],
): Type {
  const header = c.req.header("Accept");
  const [first] = offered;
  const isAnything = header === undefined || header.trim() === "";
  const ranges = isAnything ? ANYTHING : header.slice(0, LENGTH_MAX).split(",").map(parseRange);
  let best = first;
  let most = 0;
  for (const type of offered) {
    const weight = weigh(type, ranges);
    if (weight <= most) continue;
    best = type;
    most = weight;
  }
  if (best !== undefined && most > 0) return best;
  const shown = JSON.stringify(header?.slice(0, 200));
  throw new HTTPException(406, {
    message: `Cannot answer as ${shown}: answers are ${offered.join(", ")}`,
  });
}

interface Range {
  type: string;
  weight: number;
}

const ANYTHING: readonly Range[] = [{ type: "*/*", weight: 1 }];

function parseRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const given = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split("=")[1];
  const weight = Number(given ?? 1);
  return { type, weight: Number.isNaN(weight) ? 1 : weight };
}

/** The most exact range that names a type decides (RFC 9110 §12.5.1). */
function weigh(offered: string, ranges: readonly Range[]): number {
  const [family] = offered.split("/");
  for (const type of [offered, `${family}/*`, "*/*"]) {
    const range = ranges.find((range) => range.type === type);
    if (range !== undefined) return range.weight;
  }
  return 0;
}

/** Writes the OpenAPI document, and the page that shows it. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createDocument } from "./document.ts";
import { renderPage } from "./page.ts";

/** Writes both below `out`, and returns their paths. */
export function openapi(out: string): string[] {
  const document = createDocument();
  const files = {
    "src/gen/openapi.json": `${JSON.stringify(document, null, 2)}\n`,
    "src/gen/openapi.html": renderPage(document),
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), text);
  }
  return Object.keys(files);
}

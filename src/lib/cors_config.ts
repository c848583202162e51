/** Which web pages may call the server from their own address. */

import { expected, type FlagTable } from "./flags.ts";

const ORIGINS_MAX = 100;

export const CORS_FLAGS = {
  "cors-allowed-origins": {
    value: "origins",
    shown: "",
    meaning:
      "origins whose pages may call, as https://console.example.com, separated by commas; * for all",
    fallback: [] as string[],
    parse: parseOrigins,
  },
} satisfies FlagTable;

/** Browsers send an origin without path, in lower case and without a port that goes without saying. */
function parseOrigins(text: string): string[] {
  const origins = text.split(",").map((origin) => origin.trim()).filter((origin) => origin !== "");
  const wrong = origins.find((origin) =>
    origin !== "*" && (!URL.canParse(origin) || new URL(origin).origin !== origin)
  );
  if (wrong === undefined && origins.length <= ORIGINS_MAX) return origins;
  throw expected(`* or at most ${ORIGINS_MAX} of the form https://host or https://host:port`);
}

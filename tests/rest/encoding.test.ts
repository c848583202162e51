/** In what encoding a long answer goes out. */

import { expect, test } from "bun:test";
import { chooseEncoding } from "../../src/lib/rest/encoding.ts";

test.each([
  [undefined, undefined],
  ["", undefined],
  ["identity", undefined],
  ["br, deflate", undefined],
  ["gzip", "gzip"],
  ["GZIP;q=1.0", "gzip"],
  ["gzip;q=0", undefined],
  ["gzip;q=x", undefined],
  ["*", "gzip"],
  ["*;q=0", undefined],
  ["gzip;q=0, *", undefined],
  ["gzip, deflate, br, zstd", "zstd"],
  ["zstd;q=0.5, gzip;q=0.8", "gzip"],
  ["zstd;q=0, *;q=0.1", "gzip"],
  ["zstd;q=0.5, gzip;q=0", "zstd"],
])("of a client that accepts %j the encoding is %j", (accepted, encoding) => {
  expect(chooseEncoding(accepted)).toBe(encoding as ReturnType<typeof chooseEncoding>);
});

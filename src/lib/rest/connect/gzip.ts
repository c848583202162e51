/** Requests may be compressed; answers never are. */

import { gunzipSync, gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

export const GZIP: Compression = {
  name: "gzip",
  compress: (bytes) => Promise.resolve(new Uint8Array(gzipSync(bytes))),
  decompress(bytes, readMaxBytes) {
    if (bytes.length === 0) return Promise.resolve(new Uint8Array());
    try {
      return Promise.resolve(new Uint8Array(gunzipSync(bytes, { maxOutputLength: readMaxBytes })));
    } catch (cause) {
      const expected = `a message of at most ${readMaxBytes} bytes in gzip was expected`;
      return Promise.reject(
        new ConnectError(expected, Code.InvalidArgument, undefined, undefined, cause),
      );
    }
  },
};

/** Compression of long answers, as the client asks for it. */

import { pipeline, Readable } from "node:stream";
import { createGzip, createZstdCompress } from "node:zlib";

export type Encoding = "gzip" | "zstd";

/** Fast: the network is what is to be spared, not at any price. */
const GZIP_LEVEL = 1;
const PART_BYTES = 64 * 1024;

/** The encoding that `Accept-Encoding` likes best of ours; undefined for none. */
export function chooseEncoding(accepted: string | undefined): Encoding | undefined {
  const weights = new Map<string, number>();
  for (const part of (accepted ?? "").slice(0, 1000).toLowerCase().split(",")) {
    const [name = "", ...parameters] = part.split(";").map((one) => one.trim());
    const weight = parameters.find((one) => one.startsWith("q="))?.slice(2) ?? "1";
    weights.set(name, Number(weight) || 0);
  }
  const weightOf = (name: string) => weights.get(name) ?? weights.get("*") ?? 0;
  // Whoever says "anything" may know gzip only.
  const [zstd, gzip] = [weights.get("zstd") ?? 0, weightOf("gzip")];
  if (zstd > 0 && zstd >= gzip) return "zstd";
  return gzip > 0 ? "gzip" : undefined;
}

/** Compresses piece by piece, off the main thread. What fails, or is given up, ends all of it. */
export async function* compress(
  pieces: AsyncIterable<Uint8Array>,
  encoding: Encoding,
): AsyncGenerator<Uint8Array> {
  const compressor = encoding === "gzip"
    ? createGzip({ level: GZIP_LEVEL, chunkSize: PART_BYTES })
    : createZstdCompress({ chunkSize: PART_BYTES });
  // The iteration below throws what went wrong.
  pipeline(Readable.from(pieces, { objectMode: true, highWaterMark: 1 }), compressor, () => {});
  for await (const part of compressor) yield part as Uint8Array;
}

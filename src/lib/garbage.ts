/** Keeps memory small where much is made and dropped at once. */

export interface GarbageLimit {
  /** So much was made that nobody needs much longer. */
  add(bytes: number): void;
}

/** The part of the time that may be spent on it; with a large heap it is done less often. */
const SHARE = 0.1;

/**
 * Collects garbage whenever so many bytes have been made. By itself the engine lets a small heap grow to twice or three times its
 * size first, since it goes by the memory that the machine has.
 */
export function createGarbageLimit(bytesMax: number): GarbageLimit {
  let waiting = 0;
  let notBefore = 0;
  return {
    add(bytes) {
      waiting += bytes;
      const started = performance.now();
      if (waiting < bytesMax || started < notBefore) return;
      waiting = 0;
      Bun.gc(NOW);
      const ended = performance.now();
      notBefore = ended + (ended - started) / SHARE;
    },
  };
}

// Bun's `gc` takes a bare boolean.
const NOW = true;

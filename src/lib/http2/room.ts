/** What the peer may send, on a stream or on the whole connection (RFC 9113 §5.2). */

export interface Room {
  /** So many bytes have come. False: there was no room for them. */
  spend(bytes: number): boolean;
  /** So many of those that have come are taken, and others may come in their place. */
  free(bytes: number): void;
}

/** Makes one that is empty. `grow` is to tell the peer of more room: at half of it, so that it seldom has to wait. */
export function createRoom(roomBytes: number, grow: (increment: number) => void): Room {
  let window = roomBytes;
  let freeBytes = 0;
  return {
    spend(bytes) {
      window -= bytes;
      return window >= 0;
    },
    free(bytes) {
      freeBytes += bytes;
      if (freeBytes < roomBytes / 2) return;
      const increment = freeBytes;
      window += increment;
      freeBytes = 0;
      grow(increment);
    },
  };
}

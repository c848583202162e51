/** What the requests of a door hold in memory together, whoever sends them and whether or not they are whole. */

export interface HeldBytes {
  /** Begins to hold for a call, nothing at first. */
  open(): Hold;
}

/** What one call holds. */
export interface Hold {
  /** Makes it so many bytes in all; false if there is no room for them. */
  grow(bytes: number): boolean;
  /** Gives all of it back. */
  release(): void;
}

/** Makes the room. */
export function createHeldBytes(bytesMax: number): HeldBytes {
  let heldBytes = 0;
  return {
    open() {
      let own = 0;
      const hold = (bytes: number) => {
        heldBytes += bytes - own;
        own = bytes;
      };
      return {
        grow(bytes) {
          if (heldBytes + bytes - own > bytesMax) return false;
          hold(bytes);
          return true;
        },
        release: () => hold(0),
      };
    },
  };
}

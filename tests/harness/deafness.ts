/** Takes PostgreSQL's notifications out of what it sends, and leaves the rest: a listener that hears nothing. */

/** The type of a NotificationResponse in PostgreSQL's protocol. */
const NOTIFICATION = "A".charCodeAt(0);
const HEADER_BYTES = 5;

/** A filter for one connection in plain text; while `isDeaf` says so, notifications do not pass. */
export function dropNotifications(isDeaf: () => boolean): (bytes: Buffer) => Buffer {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    let input = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const kept: Buffer[] = [];
    while (input.length >= HEADER_BYTES) {
      const length = 1 + input.readUInt32BE(1);
      if (input.length < length) break;
      if (input[0] !== NOTIFICATION || !isDeaf()) kept.push(input.subarray(0, length));
      input = input.subarray(length);
    }
    rest = Buffer.from(input);
    return Buffer.concat(kept);
  };
}

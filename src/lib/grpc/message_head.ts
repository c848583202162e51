/** What goes before each message of gRPC: a flag, which says whether it is compressed, and its length. */

export const MESSAGE_HEAD_BYTES = 5;

/** Makes that of a message which is not compressed. */
export function messageHead(message: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(MESSAGE_HEAD_BYTES);
  head[0] = 0;
  head.writeUInt32BE(message.length, 1);
  return head;
}

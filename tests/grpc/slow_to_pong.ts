/** A client in a process of its own that takes its time to answer pings, and says on its output what happens to it. */

import net from "node:net";

/** What it says: a ping has come, or the connection is over. */
export type Word = "pinged" | "closed";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES = 9;
const SETTINGS = 4;
const PING = 6;
const ACK = 1;
const PAUSE_MS = 100;

function frame(type: number, flags: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  return Buffer.concat([head, body]);
}

function say(word: Word): void {
  process.stdout.write(`${word}\n`);
}

const socket = net.connect(Number(Bun.argv[2]), "127.0.0.1", () => {
  socket.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, new Uint8Array())]));
});
socket.on("error", () => {});
socket.on("close", () => say("closed"));
let rest = Buffer.alloc(0);
socket.on("data", (chunk) => {
  rest = Buffer.concat([rest, Buffer.from(chunk)]);
  while (rest.length >= HEAD_BYTES && rest.length >= HEAD_BYTES + rest.readUIntBE(0, 3)) {
    const body = rest.subarray(HEAD_BYTES, HEAD_BYTES + rest.readUIntBE(0, 3));
    const isAck = ((rest[4] ?? 0) & ACK) === ACK;
    if (rest[3] === SETTINGS && !isAck) socket.write(frame(SETTINGS, ACK, new Uint8Array()));
    if (rest[3] === PING && !isAck) {
      say("pinged");
      setTimeout(() => socket.write(frame(PING, ACK, body)), PAUSE_MS);
    }
    rest = rest.subarray(HEAD_BYTES + body.length);
  }
});

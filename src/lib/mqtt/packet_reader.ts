/** Takes apart what a broker sends, in whatever pieces it comes. */

import { type Packet, parser } from "mqtt-packet";
import { RECEIVE_BYTES_MAX, toReceived, V5 } from "./packets.ts";
import {
  decodePublish,
  isPublish,
  MalformedPacket,
  readLength,
  readPuback,
  type Received,
} from "./publish_packet.ts";

export interface PacketHandlers {
  publish(received: Received): void;
  /** The broker has a message of ours. What else it may say to one comes as a packet. */
  acknowledged(messageId: number): void;
  /** Any other packet. */
  packet(packet: Packet): void;
  /** What came is no MQTT 5; nothing is read any more. */
  failed(error: Error): void;
}

/** Returns a function that takes the next piece. Each packet is handled before the next one is looked at. */
export function createPacketReader(handlers: PacketHandlers): (piece: Buffer) => void {
  /** The beginning of a packet whose end is still to come. */
  let pieces: Buffer[] = [];
  let heldBytes = 0;
  /** How many bytes the packet has, as far as is known. */
  let wantedBytes = 0;
  let isBroken = false;

  const fail = (error: Error) => {
    isBroken = true;
    pieces = [];
    handlers.failed(error);
  };
  const library = parser(V5);
  library.on("packet", (packet: Packet) => {
    if (packet.cmd === "publish") handlers.publish(toReceived(packet));
    else handlers.packet(packet);
  });
  library.on("error", fail);

  const take = (packet: Buffer, bodyAt: number) => {
    const messageId = readPuback(packet);
    if (messageId !== undefined) return handlers.acknowledged(messageId);
    const received = isPublish(packet) ? decodePublish(packet, bodyAt) : undefined;
    if (received === undefined) library.parse(packet);
    else handlers.publish(received);
  };

  /** Takes all packets that are whole; returns where the next one begins. */
  const takeAll = (bytes: Buffer): number => {
    let at = 0;
    while (!isBroken) {
      const length = readLength(bytes, at + 1);
      if (length === undefined) break;
      const end = length.end + length.value;
      if (end - at > RECEIVE_BYTES_MAX) throw new MalformedPacket(`a packet has ${end - at} bytes`);
      wantedBytes = end - at;
      if (end > bytes.length) break;
      take(bytes.subarray(at, end), length.end - at);
      at = end;
      wantedBytes = 0;
    }
    return at;
  };

  return (piece) => {
    if (isBroken) return;
    pieces.push(piece);
    heldBytes += piece.length;
    // A large packet is put together once, and not with each of its pieces.
    if (heldBytes < wantedBytes) return;
    const bytes = pieces.length === 1 ? piece : Buffer.concat(pieces, heldBytes);
    let takenBytes = 0;
    try {
      takenBytes = takeAll(bytes);
    } catch (error) {
      if (error instanceof MalformedPacket) return fail(error);
      throw error;
    }
    pieces = takenBytes === bytes.length ? [] : [bytes.subarray(takenBytes)];
    heldBytes = bytes.length - takenBytes;
  };
}

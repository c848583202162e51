/** Publishes under way: no more at once than the broker takes, the others in their order behind. */

import { MaestroError } from "../errors.ts";

/** What became of a publish: the broker has it, and somebody listens or nobody does. */
export type Delivery = "received" | "nobody";

/** A whole PUBLISH of QoS 1, but for its identifier: two bytes at `idAt`. */
export interface PublishPacket {
  bytes: Buffer;
  idAt: number;
}

export interface Window {
  /** Starts sending; `receiveMax` is the broker's, absent if it names none. */
  open(receiveMax: number | undefined): void;
  /** Resolves when the broker has acknowledged. */
  add(packet: PublishPacket): Promise<Delivery>;
  /** The broker's answer to a publish. */
  settle(messageId: number, answer: Delivery | Error): void;
  /** Those that are under way or wait for their turn. */
  readonly waiting: number;
  /** Resolves when there are none. */
  idle(): Promise<void>;
  /** Rejects all of them with `unavailable`. */
  close(reason: string): void;
}

/** Enough to hide a round trip, and little enough to lose when a connection breaks. */
const UNDER_WAY_MAX = 500;
const WAITING_MAX = 20_000;
/** Go's client waits as long for a PUBACK. */
export const ACKNOWLEDGE_TIMEOUT_MS = 10_000;

interface Slot {
  packet: PublishPacket;
  resolve: (delivery: Delivery) => void;
  reject: (error: Error) => void;
  timer?: Timer;
}

/** `write` sends bytes; acknowledgements are told by `settle`. `late` is called when one does not come. */
export function createWindow(
  write: (bytes: Uint8Array) => void,
  late: () => void = () => {},
): Window {
  const queue: Slot[] = [];
  const underWay = new Map<number, Slot>();
  const idlers: (() => void)[] = [];
  let sizeMax = 0;
  let lastId = 0;
  let closedBy: string | undefined;

  const nextId = () => {
    do lastId = lastId === 65_535 ? 1 : lastId + 1; while (underWay.has(lastId));
    return lastId;
  };

  const fill = () => {
    while (underWay.size < sizeMax) {
      const slot = queue.shift();
      if (slot === undefined) break;
      const messageId = nextId();
      underWay.set(messageId, slot);
      // The id stays taken: an answer that comes late must not be taken for another's.
      slot.timer = setTimeout(() => {
        slot.reject(notAcknowledged());
        late();
      }, ACKNOWLEDGE_TIMEOUT_MS);
      const { bytes, idAt } = slot.packet;
      bytes.writeUInt16BE(messageId, idAt);
      write(bytes);
    }
    if (underWay.size === 0 && queue.length === 0) {
      for (const resolve of idlers.splice(0)) resolve();
    }
  };

  return {
    open(receiveMax) {
      sizeMax = Math.min(receiveMax ?? UNDER_WAY_MAX, UNDER_WAY_MAX);
      fill();
    },
    add: (packet) =>
      new Promise((resolve, reject) => {
        if (closedBy !== undefined) return reject(gone(closedBy));
        if (queue.length >= WAITING_MAX) return reject(full());
        queue.push({ packet, resolve, reject });
        fill();
      }),
    settle(messageId, answer) {
      const slot = underWay.get(messageId);
      if (slot === undefined) return;
      underWay.delete(messageId);
      clearTimeout(slot.timer);
      if (answer instanceof Error) slot.reject(answer);
      else slot.resolve(answer);
      fill();
    },
    get waiting() {
      return queue.length + underWay.size;
    },
    idle: () =>
      queue.length + underWay.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => idlers.push(resolve)),
    close(reason) {
      closedBy = reason;
      // Callers send again what matters: on the next connection it has another id, and comes twice at worst.
      for (const slot of [...underWay.values(), ...queue.splice(0)]) {
        clearTimeout(slot.timer);
        slot.reject(gone(reason));
      }
      underWay.clear();
      for (const resolve of idlers.splice(0)) resolve();
    },
  };
}

function notAcknowledged(): MaestroError {
  return new MaestroError(
    "unavailable",
    `Cannot publish: the broker did not acknowledge within ${ACKNOWLEDGE_TIMEOUT_MS} ms`,
  );
}

function gone(reason: string): MaestroError {
  return new MaestroError("unavailable", `Cannot publish: the connection is gone: ${reason}`);
}

function full(): MaestroError {
  return new MaestroError(
    "resource_exhausted",
    `Cannot publish: ${WAITING_MAX} others wait for the broker`,
  );
}

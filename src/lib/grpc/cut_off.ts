/**
 * What a server does to its gRPC clients while it cannot use the database, which another server perhaps can.
 *
 * New streams are refused, so that clients go on to the next server. Streams that are open stay for a grace, since most
 * outages are everybody's and over before it is: then all go on where they were, without a storm of
 * connections. After the grace connections are ended, a part each second.
 */

import type { Logger } from "../log.ts";
import { startPump } from "../pump.ts";
import type { Methods } from "./call.ts";
import { GrpcError, STATUS } from "./errors.ts";
import type { GrpcServer } from "./server.ts";

/** Says why the database cannot be used; undefined while it can. */
export type CutOff = () => string | undefined;

const LOOK_MS = 1_000;
/** All are gone within half a minute. */
const PARTS = 30;

/** The same methods, but for streams that begin while the server is cut off. */
export function refuseWhile(cutOff: CutOff, { unary, streaming }: Methods): Methods {
  const guarded = Object.entries(streaming).map(([path, method]) => {
    const guard: typeof method = async (message, stream, call) => {
      const reason = cutOff();
      if (reason !== undefined) throw new GrpcError(STATUS.unavailable, reason);
      await method(message, stream, call);
    };
    return [path, guard] as const;
  });
  return { unary, streaming: Object.fromEntries(guarded) };
}

/** Starts looking after the connections of these doors. */
export function startSendingAway(
  doors: readonly GrpcServer[],
  cutOff: CutOff,
  { graceMs, log }: { graceMs: number; log: Logger },
): AsyncDisposable {
  let since: number | undefined;
  let partSize = 0;
  const look = () => {
    if (cutOff() === undefined) since = undefined;
    else since ??= performance.now();
    if (since === undefined || performance.now() - since < graceMs) {
      partSize = 0;
      return Promise.resolve();
    }
    if (partSize === 0) {
      const count = doors.reduce((sum, door) => sum + door.connectionCount, 0);
      partSize = Math.ceil(count / PARTS);
      if (count > 0) log.warn("clients are sent to other servers", { connections: count });
    }
    let rest = partSize;
    for (const door of doors) rest -= door.sendAway(rest);
    return Promise.resolve();
  };
  return startPump(look, { name: "sending-away", intervalMs: LOOK_MS, log });
}

/** The settings of both gRPC doors, as flags give them. Names and meanings are those of the Go server. */

import {
  boolean,
  duration,
  type Flag,
  type FlagTable,
  type FlagValues,
  integer,
  optionalText,
  positive,
} from "./flags.ts";
import type { GrpcLimits } from "./grpc/limits.ts";

/** Both ends of what a length in a gRPC message can say. */
const BYTES = { min: 1024, max: 2 ** 31 - 1 };

export const GRPC_FLAGS = {
  "grpc-max-concurrent-streams": integer(
    "count",
    10_000,
    { min: 1, max: 2 ** 32 - 1 },
    "calls under way at once on one gRPC connection",
  ),
  "grpc-max-receive-message-size": integer(
    "bytes",
    4 * 1024 * 1024,
    BYTES,
    "largest gRPC message accepted",
  ),
  "grpc-max-send-message-size": integer("bytes", BYTES.max, BYTES, "largest gRPC message sent"),
  "grpc-connection-timeout": positive(
    duration("120s", "what a client may take until it speaks gRPC, and to send a request"),
  ),
  "grpc-max-connection-age": age(),
  "grpc-client-min-ping-interval": duration(
    "5s",
    "a client that pings more often is told to calm down",
  ),
  "permit-ping-without-stream": boolean("off", "clients may ping while they have no call open"),
  "grpc-server-ping-interval": positive(duration("10s", "time between pings to clients")),
  "grpc-server-ping-timeout": positive(
    duration("10s", "a client that answers no ping for so long is given up"),
  ),
  "heartbeat-check-interval": positive(
    duration("10s", "time between heartbeats on gRPC subscriptions"),
  ),
  "heartbeat-disable": boolean("off", "send no heartbeats"),
  "cut-off-grace": duration(
    "90s",
    "how long gRPC streams stay while the database cannot be used, before clients are sent away",
  ),
  // Flags of the Go server that scripts and charts pass, and that change nothing here.
  "grpc-write-buffer-size": optionalText("bytes", "without effect: buffers grow as needed"),
  "grpc-read-buffer-size": optionalText("bytes", "without effect: buffers grow as needed"),
  "disable-grpc-tls": boolean("off", "without effect, as in the Go server"),
} satisfies FlagTable;

/** What one connection may do. */
export function grpcLimits(config: FlagValues<typeof GRPC_FLAGS>): GrpcLimits {
  const limits: GrpcLimits = {
    receiveBytesMax: config["grpc-max-receive-message-size"],
    sendBytesMax: config["grpc-max-send-message-size"],
    callsMax: config["grpc-max-concurrent-streams"],
    connectionTimeoutMs: config["grpc-connection-timeout"],
    clientPingMinMs: config["grpc-client-min-ping-interval"],
    isPingWithoutStreamAllowed: config["permit-ping-without-stream"],
    pingMs: config["grpc-server-ping-interval"],
    pingTimeoutMs: config["grpc-server-ping-timeout"],
  };
  const ageMs = config["grpc-max-connection-age"];
  if (ageMs !== undefined) limits.ageMs = ageMs;
  return limits;
}

/** The time between heartbeats; undefined if there are none. */
export function heartbeatMs(config: FlagValues<typeof GRPC_FLAGS>): number | undefined {
  return config["heartbeat-disable"] ? undefined : config["heartbeat-check-interval"];
}

/** Without a limit unless it is given; as in the Go server zero is no limit either. */
function age(): Flag<number | undefined> {
  const flag = duration(
    "0s",
    "connections are replaced when they are about so old (default never)",
  );
  return {
    ...flag,
    shown: "",
    fallback: undefined,
    parse(given) {
      const ms = flag.parse(given);
      return ms === 0 ? undefined : ms;
    },
  };
}

/** The flags of the gRPC doors, as scripts and charts of the Go server give them. */

import { expect, test } from "bun:test";
import { parseServerConfig } from "../../src/lib/config.ts";
import { grpcLimits, heartbeatMs } from "../../src/lib/grpc_config.ts";

const OPEN = ["--enable-jwt=false", "--grpc-authn-type=mock"];
const parse = (...args: string[]) => parseServerConfig([...OPEN, ...args], {});

test("what the Go server is given by default is understood", () => {
  const config = parse(
    ...["--grpc-max-concurrent-streams", "4294967295", "--grpc-max-receive-message-size=4194304"],
    ...["--grpc-max-send-message-size=2147483647", "--grpc-connection-timeout=2m0s"],
    ...["--grpc-max-connection-age", "2562047h47m16.854775807s", "--disable-grpc-tls"],
    ...["--grpc-client-min-ping-interval=5s", "--permit-ping-without-stream=false"],
    ...["--grpc-server-ping-interval=30s", "--grpc-server-ping-timeout=10s"],
    ...["--grpc-write-buffer-size=32768", "--grpc-read-buffer-size=32768", "--heartbeat-disable"],
  );

  expect(grpcLimits(config)).toMatchObject({
    callsMax: 4_294_967_295,
    connectionTimeoutMs: 120_000,
    pingMs: 30_000,
    clientPingMinMs: 5_000,
  });
  expect(heartbeatMs(config)).toBeUndefined();
  expect(grpcLimits(parse("--grpc-max-connection-age=0")).ageMs).toBeUndefined();
});

test.each([
  ["--grpc-server-ping-interval", "0", "more than nothing"],
  ["--heartbeat-check-interval", "1000h", "less than 24 days"],
  ["--grpc-max-concurrent-streams", "0", "a whole number from 1"],
  ["--grpc-max-send-message-size", "4GB", "a whole number from 1024"],
])("a value that cannot be is refused: %s %s", (flag, value, reason) => {
  expect(() => parse(flag, value)).toThrow(reason);
});

test("an authority for clients needs a certificate of the server", () => {
  expect(() => parse("--grpc-broker-client-ca-file", "ca.crt")).toThrow(
    "--grpc-broker-client-ca-file needs --grpc-broker-tls-cert-file",
  );
});

test("the Go name of the refresh interval counts, and ours before it", () => {
  const theirs = { CERT_CALLBACK_REFRESH_DURATION: "3s" };
  const both = { ...theirs, MAESTRO_CERTIFICATE_REFRESH_INTERVAL: "1m" };

  const intervals = [{}, theirs, both].map((env) =>
    parseServerConfig(OPEN, env)["certificate-refresh-interval"]
  );

  expect(intervals).toEqual([300_000, 3_000, 60_000]);
});

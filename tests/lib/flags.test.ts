/** Whoever gives a server a wrong setting is told which, before anything starts. */

import { expect, test } from "bun:test";
import { parseServerConfig } from "../../src/lib/config.ts";

const port = "a whole number from 0 to 65535";
const address = "an address such as https://example.com/keys";

test.each([
  [["--http-server-bindport="], {}, `Cannot read --http-server-bindport "": expected ${port}`],
  [
    [],
    { MAESTRO_GRPC_SERVER_BINDPORT: " " },
    `Cannot read MAESTRO_GRPC_SERVER_BINDPORT " ": expected ${port}`,
  ],
  [["--jwk-cert-url=keys"], {}, `Cannot read --jwk-cert-url "keys": expected ${address}`],
  [
    ["--jwk-cert-url", "file:///a"],
    {},
    `Cannot read --jwk-cert-url "file:///a": expected ${address}`,
  ],
  [["--jwk-cert-url=https://"], {}, `Cannot read --jwk-cert-url "https://": expected ${address}`],
  [["--constructor=1"], {}, 'Unknown flag "--constructor=1": see --help'],
  [["--toString"], {}, 'Unknown flag "--toString": see --help'],
])("%j and %j are refused", (args, env, reason) => {
  expect(() => parseServerConfig(args, env)).toThrow(reason);
});

test("an address of keys is taken as it is", () => {
  const url = "https://sso.example.com/auth/realms/a/protocol/openid-connect/certs";

  expect(parseServerConfig(["--jwk-cert-url", url], {})["jwk-cert-url"]).toBe(url);
});

/** Which servers are reached through the proxy of the environment, and which proxy that is. */

import { expect, test } from "bun:test";
import { chooseProxy } from "../../src/lib/grpc/proxy.ts";

const HUB = ["hub.example.com", 8091] as const;

test("the variables are asked in the order of grpc-js, in lower and in upper case", () => {
  const names = ["grpc_proxy", "GRPC_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy"];
  const left: Record<string, string> = { HTTP_PROXY: "http://HTTP_PROXY:1" };
  for (const name of names) left[name] = `http://${name}:1`;
  const chosen = [];

  for (const _ of [...names, "HTTP_PROXY"]) {
    const variable = chooseProxy(...HUB, left)?.variable ?? "";
    chosen.push(variable);
    left[variable] = "";
  }

  expect(chosen).toEqual([...names, "HTTP_PROXY"]);
  expect(chooseProxy(...HUB, left)).toBeUndefined();
});

test.each([
  ["http://proxy.corp:3128", "proxy.corp", 3128, undefined],
  ["http://proxy.corp:3128/", "proxy.corp", 3128, undefined],
  ["HTTP://proxy.corp", "proxy.corp", 80, undefined],
  ["proxy.corp:3128", "proxy.corp", 3128, undefined],
  [" 10.0.0.1:3128 ", "10.0.0.1", 3128, undefined],
  ["http://[fd00::1]:3128", "fd00::1", 3128, undefined],
  ["http://agent@proxy.corp:3128", "proxy.corp", 3128, "agent:"],
  ["http://agent:p%40ss%2Fw%C3%B6rd@proxy.corp:3128", "proxy.corp", 3128, "agent:p@ss/wörd"],
  ["agent:secret@proxy.corp:3128", "proxy.corp", 3128, "agent:secret"],
])("a proxy is read: %s", (value, host, port, credentials) => {
  const proxy = chooseProxy(...HUB, { HTTPS_PROXY: value });

  expect(proxy).toMatchObject({ host, port, variable: "HTTPS_PROXY" });
  const [, encoded] = proxy?.authorization?.split(" ") ?? [];
  expect(encoded && Buffer.from(encoded, "base64").toString()).toBe(credentials);
  expect(proxy?.name).toEndWith(`:${port}`);
  expect(proxy?.name).not.toContain("@");
});

test.each([
  ["https://agent:secret@proxy.corp:3128", 'its scheme must be http, not "https"'],
  ["socks5://agent:secret@proxy.corp", 'its scheme must be http, not "socks5"'],
  ["http://agent:secret@proxy.corp:99999", "it must be http://host:port or"],
  ["http://agent:secret%zz@proxy.corp:3128", "it must be http://host:port or"],
  ["http://", "it must be http://host:port or"],
  ["http://agent:1/secret@proxy.corp:3128", "write /, ? and # in its user or password as %2F"],
])("a proxy that cannot be used is a mistake of its variable: %s", (value, reason) => {
  const choose = () => chooseProxy(...HUB, { https_proxy: value });

  expect(choose).toThrow(`Cannot use the proxy of https_proxy: ${reason}`);
  expect(choose).not.toThrow("secret");
  // It is a mistake only for those who go through it.
  expect(chooseProxy("localhost", 8091, { https_proxy: value })).toBeUndefined();
});

test.each(["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.9.9", "::1"])(
  "what is on this machine is never reached through a proxy: %s",
  (host) => {
    expect(chooseProxy(host, 8091, { HTTPS_PROXY: "proxy:1" })).toBeUndefined();
  },
);

test.each<[host: string, noProxy: string, isDirect: boolean]>([
  ["hub.example.com", "", false],
  ["hub.example.com", "*", true],
  ["hub.example.com", "other.org, hub.example.com", true],
  ["HUB.example.com", "Hub.Example.COM", true],
  ["hub.example.com.", "hub.example.com", true],
  ["hub.example.com", "example.com", true],
  ["hub.example.com", ".example.com", true],
  ["hub.example.com", "*.example.com", true],
  ["example.com", "example.com", true],
  ["example.com", ".example.com", false],
  ["hub.example.com", "ample.com", false],
  ["hub.example.com", "hub", false],
  ["hub.maestro.svc", ".svc,.cluster.local", true],
  ["hub.example.com", "hub.example.com:8091", true],
  ["hub.example.com", ".example.com:8091", true],
  ["hub.example.com", "hub.example.com:443", false],
  ["hub.example.com", ".", false],
  ["hub.example.com", ",, ,", false],
  ["10.1.2.3", "10.0.0.0/8", true],
  ["10.1.2.3", "10.9.9.9/8", true],
  ["11.1.2.3", "10.0.0.0/8", false],
  ["10.1.2.3", "10.0.0.0/33", false],
  ["hub.example.com", "0.0.0.0/0", false],
  ["10.1.2.3", "10.1.2.3", true],
  ["10.1.2.3", "10.1.2.3:8091", true],
  ["10.1.2.3", "10.1.2.3:443", false],
  ["fd00::17", "fd00::/64", true],
  ["fd00:0:0:0::17", "fd00::17", true],
  ["fd00::17", "[fd00::17]:8091", true],
  ["fd00::17", "[fd00::17]", true],
  ["fd00::17", "[fd00::17]:443", false],
  ["fd01::17", "fd00::/64", false],
])("NO_PROXY: %s and %p", (host, noProxy, isDirect) => {
  const environment = { HTTPS_PROXY: "http://proxy:3128" };

  for (const name of ["NO_PROXY", "no_proxy", "no_grpc_proxy"]) {
    const proxy = chooseProxy(host, 8091, { ...environment, [name]: noProxy });
    expect(proxy === undefined).toBe(isDirect);
  }
});

/** Whether an agent goes through an HTTP proxy to its server, by the variables of the environment that Go programs know. */

import { BlockList, isIP } from "node:net";
import { MaestroError } from "../errors.ts";

/** Where to ask for a tunnel. */
export interface Proxy {
  host: string;
  port: number;
  /** What `Proxy-Authorization` says, if it wants to know who asks. */
  authorization?: string;
  /** `host:port`, for words that others read: without the password. */
  name: string;
  /** The variable that names it. */
  variable: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The order of grpc-js. Go programs know the middle one, which holds for connections without TLS too. */
const PROXY_NAMES = ["grpc_proxy", "https_proxy", "http_proxy"];
const NO_PROXY_NAMES = ["no_grpc_proxy", "no_proxy"];
const PORT = 80;

/**
 * The proxy to a server; undefined if there is none on the way to it. Throws `invalid_argument` that names the variable if it
 * cannot be used.
 */
export function chooseProxy(
  host: string,
  port: number,
  environment: Environment,
): Proxy | undefined {
  const [variable, value] = firstOf(PROXY_NAMES, environment) ?? [];
  if (variable === undefined || value === undefined) return undefined;
  const [, excepted = ""] = firstOf(NO_PROXY_NAMES, environment) ?? [];
  const name = host.toLowerCase().replace(/\.$/, "");
  if (isLoopback(name)) return undefined;
  if (excepted.split(/[\s,]+/).some((entry) => isExcepted(name, port, entry.toLowerCase()))) {
    return undefined;
  }
  return readProxy(variable, value);
}

function firstOf(names: readonly string[], environment: Environment): [string, string] | undefined {
  for (const name of names.flatMap((name) => [name, name.toUpperCase()])) {
    const value = environment[name]?.trim();
    if (value) return [name, value];
  }
  return undefined;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || isWithin(host, "127.0.0.0", 8) || isWithin(host, "::1", 128);
}

/** As in Go: `name` is the name and what is below it, `.name` and `*.name` only what is below. */
function isExcepted(host: string, port: number, entry: string): boolean {
  if (entry === "") return false;
  if (entry === "*") return true;
  const [, base = "", bits] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? [];
  if (bits !== undefined) return isWithin(host, base, Number(bits));
  const [name, entryPort] = splitPort(entry);
  if (entryPort !== undefined && entryPort !== port) return false;
  if (isIP(name) !== 0) return isWithin(host, name, isIP(name) === 4 ? 32 : 128);
  const domain = name.replace(/^\*(?=\.)/, "").replace(/\.$/, "");
  if (domain.startsWith(".")) return domain.length > 1 && host.endsWith(domain);
  return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
}

/** `host`, `host:port`, `[::1]:port`, `[::1]` or `::1`. */
function splitPort(entry: string): [host: string, port?: number] {
  if (isIP(entry) !== 0) return [entry];
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  const host = bracketed ?? plain ?? entry;
  return port === undefined ? [host] : [host, Number(port)];
}

/** Whether a host is an address of a network. A name is none, whatever it resolves to. */
function isWithin(host: string, base: string, bits: number): boolean {
  const [hostFamily, family] = [isIP(host), isIP(base)];
  if (hostFamily === 0 || family === 0 || bits > (family === 4 ? 32 : 128)) return false;
  const network = new BlockList();
  network.addSubnet(base, bits, family === 4 ? "ipv4" : "ipv6");
  return network.check(host, hostFamily === 4 ? "ipv4" : "ipv6");
}

/** Its value may hold a password, so no error shows it. */
function readProxy(variable: string, value: string): Proxy {
  const [, scheme = "http"] = /^([^/?#@]*):\/\//.exec(value) ?? [];
  if (scheme.toLowerCase() !== "http") {
    throw unusable(variable, `its scheme must be http, not "${scheme}"`);
  }
  let url: URL;
  let [user, password] = ["", ""];
  try {
    url = new URL(value.includes("://") ? value : `http://${value}`);
    user = decodeURIComponent(url.username);
    password = decodeURIComponent(url.password);
  } catch {
    throw unusable(variable, "it must be http://host:port or http://user:password@host:port");
  }
  if (`${url.pathname}${url.search}${url.hash}`.includes("@")) {
    throw unusable(variable, "write /, ? and # in its user or password as %2F, %3F and %23");
  }
  const port = url.port === "" ? PORT : Number(url.port);
  const proxy: Proxy = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    name: `${url.hostname}:${port}`,
    variable,
  };
  if (user === "" && password === "") return proxy;
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  return { ...proxy, authorization };
}

function unusable(variable: string, reason: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot use the proxy of ${variable}: ${reason}`);
}

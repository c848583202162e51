/** Kubernetes' functions of URLs. */

import { func, method, type Overload } from "./functions.ts";
import { CelError, CelMap, type Opaque } from "./values.ts";

interface Parts {
  scheme: string;
  host: string;
  path: string;
  query: string;
}

class Url implements Opaque {
  readonly typeName = "kubernetes.URL";

  constructor(readonly text: string, readonly parts: Parts) {}

  isEqual(other: unknown): boolean {
    return other instanceof Url && other.text === this.text;
  }
}

/** An absolute URL or an absolute path, as Go's `ParseRequestURI` takes them. */
function parse(text: string): Parts | undefined {
  if (text === "*") return { scheme: "", host: "", path: "*", query: "" };
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) return undefined;
  const found = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?]*)(?:\?(.*))?$/.exec(text);
  if (found === null) return undefined;
  const [, scheme = "", authority, path = "", query = ""] = found;
  const isRooted = path.startsWith("/") || (scheme !== "" && authority !== undefined);
  if (!isRooted && !(scheme !== "" && path !== "")) return undefined;
  if (/%(?![0-9a-fA-F]{2})/.test(path)) return undefined;
  const host = (authority ?? "").replace(/^.*@/, "");
  if (/[ "<>\\^`{|}]/.test(host) || !/^(\[[^\]]*\]|[^:[\]]*)(:\d*)?$/.test(host)) return undefined;
  return { scheme: scheme.toLowerCase(), host, path, query };
}

function url(text: string): Url {
  const parts = parse(text);
  if (parts === undefined) throw new CelError(`URL parse error during conversion from string`);
  return new Url(text, parts);
}

function hostname({ parts: { host } }: Url): string {
  return host.replace(/:\d*$/, "").replace(/^\[|\]$/g, "");
}

function port({ parts: { host } }: Url): string {
  return /:(\d*)$/.exec(host.replace(/^\[[^\]]*\]/, ""))?.[1] ?? "";
}

/** Each character that a path may not have as `%XX`; what is escaped already stays. */
function escapedPath({ parts: { path } }: Url): string {
  return path.replace(/[^A-Za-z0-9\-._~$&+,/:;=@!'()*%[\]]/gu, encodeURIComponent);
}

function query({ parts }: Url): CelMap {
  const lists = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(parts.query)) {
    lists.set(key, [...lists.get(key) ?? [], value]);
  }
  const map = new CelMap();
  for (const [key, values] of lists) map.set(key, values);
  return map;
}

/** `url(x)` and what can be asked of it. */
export const urlFunctions: readonly Overload[] = [
  func("url", "string", url),
  func("isURL", "string", (text: string) => parse(text) !== undefined),
  method("getScheme", "kubernetes.URL", ({ parts }: Url) => parts.scheme),
  method("getHost", "kubernetes.URL", ({ parts }: Url) => parts.host),
  method("getHostname", "kubernetes.URL", hostname),
  method("getPort", "kubernetes.URL", port),
  method("getEscapedPath", "kubernetes.URL", escapedPath),
  method("getQuery", "kubernetes.URL", query),
];

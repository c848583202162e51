/** The paths of Connect and gRPC-Web. What answers there is loaded with the first call. */

import type { DescService } from "@bufbuild/protobuf";
import type { Hono } from "hono";
import { getCookie } from "hono/cookie";
import { CloudEventService } from "../../../gen/cloudevent_pb.ts";
import { ConsumerService } from "../../../gen/maestro/v1/consumer_pb.ts";
import { ResourceBundleService } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import { readBytes } from "../body.ts";
import type { RestContext, RestEnv } from "../routes.ts";
import type { CallParts } from "./call.ts";
import type { ConnectParts } from "./router.ts";

/** A request for a method. */
export interface CallRequest extends Pick<CallParts, "operationId" | "log" | "authorization"> {
  request: Request;
  /** The path of its method. */
  path: string;
  /** Finds out who calls, and tells what of that matters later. Throws unless the caller may come in. */
  enter: () => Promise<Pick<CallParts, "rights" | "caller" | "tracing">>;
  /** Reads what the client sends, to its end. */
  read: () => Promise<Uint8Array>;
  /** Called whenever the client is seen to read. */
  alive: () => void;
}

/** Answers calls. */
export type Calls = (call: CallRequest) => Promise<CallAnswer>;

export interface CallAnswer {
  status: number;
  headers: Iterable<[string, string]>;
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
}

const PATHS = new Set(
  [ResourceBundleService, ConsumerService, CloudEventService].flatMap(pathsOf),
);

/** True for a path of a method, whose errors are told in its protocol, that of a refused login included. */
export function isCall(path: string): boolean {
  return PATHS.has(path);
}

/** Adds all methods. `enter` finds out who calls, or throws; it is asked before a request is read. */
export function addConnectRoutes(
  app: Hono<RestEnv>,
  parts: ConnectParts,
  enter: (c: RestContext) => Promise<void>,
): void {
  let calls: Promise<Calls> | undefined;
  // 35 ms that only those wait for who call.
  const load = async () => (await import("./router.ts")).createCalls(parts);
  for (const path of PATHS) {
    app.all(path, async (c) => {
      calls ??= load();
      const answer = await (await calls)({
        request: c.req.raw,
        path,
        operationId: c.get("operationId"),
        log: c.get("log"),
        read: () => readBytes(c),
        enter: async () => {
          await enter(c);
          return {
            rights: c.get("rights"),
            caller: c.get("caller")?.name,
            untilMs: c.get("caller")?.untilMs,
            tracing: c.get("tracing"),
          };
        },
        authorization: authorizationOf(c),
        alive: () => c.env?.stillReads?.(),
      });
      for (const [name, value] of answer.headers) c.header(name, value);
      c.header("Vary", "Authorization", { append: true });
      c.status(answer.status as Parameters<RestContext["status"]>[0]);
      return answer.body instanceof Uint8Array ? c.body(answer.body) : c.body(answer.body);
    });
  }
}

function pathsOf(service: DescService): string[] {
  return service.methods.map(({ name }) => `/${service.typeName}/${name}`);
}

function authorizationOf(c: RestContext): string | undefined {
  const cookie = getCookie(c, "cs_jwt");
  return c.req.header("Authorization") ?? (cookie && `Bearer ${cookie}`);
}

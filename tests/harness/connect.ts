/** The official clients of Connect and gRPC-Web, and a reader of watches. */

import {
  type Client,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  ResourceBundleService,
  WatchEndSchema,
  type WatchResourceBundlesResponse,
  WatchResourceBundlesResponse_Type as Type,
} from "../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { eventually } from "./eventually.ts";

export type BundleClient = Client<typeof ResourceBundleService>;

export type Protocol = "Connect in JSON" | "Connect in binary" | "gRPC-Web";

/** Every protocol that browsers speak, by its name. */
export function transports(baseUrl: string, token?: string): Record<Protocol, Transport> {
  const authorize: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl, interceptors: [authorize] };
  return {
    "Connect in JSON": createConnectTransport(options),
    "Connect in binary": createConnectTransport({ ...options, useBinaryFormat: true }),
    "gRPC-Web": createGrpcWebTransport(options),
  };
}

/** A client of bundles over Connect in binary. */
export function bundleClient(baseUrl: string): BundleClient {
  const transport = createConnectTransport({ baseUrl, useBinaryFormat: true });
  return createClient(ResourceBundleService, transport);
}

export interface MessageWatch extends AsyncDisposable {
  /** All, in order. */
  events: WatchResourceBundlesResponse[];
  /** Those of one bundle, as `ADDED 1`. */
  told(id: string): string[];
  /** The last cursor. */
  cursor(): string;
  /** Resolves when the stream has ended, with its error. */
  ended: Promise<ConnectError | undefined>;
}

/** Watches. Without a refusal it resolves when the first bookmark has come. */
export async function watchMessages(
  client: BundleClient,
  request: { search?: string; cursor?: string } = {},
  options: { timeoutMs?: number } = {},
): Promise<MessageWatch> {
  const aborter = new AbortController();
  const events: WatchResourceBundlesResponse[] = [];
  let isOver = false;
  const read = async () => {
    try {
      const stream = client.watch(request, { signal: aborter.signal, ...options });
      for await (const event of stream) events.push(event);
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    } finally {
      isOver = true;
    }
  };
  const ended = read();
  await eventually(() => isOver || events.some(({ type }) => type === Type.BOOKMARK));
  return {
    events,
    told: (id) =>
      events.filter(({ resourceBundle }) => resourceBundle?.id === id)
        .map(({ type, resourceBundle }) => `${Type[type]} ${resourceBundle?.version}`)
        // What was stored as somebody began to watch is in the list and may come as a change as well.
        .filter((text, at, all) => !text.startsWith("ADDED ") || text !== all[at - 1]),
    cursor: () => events.findLast(({ cursor }) => cursor !== "")?.cursor ?? "",
    ended,
    async [Symbol.asyncDispose]() {
      aborter.abort();
      await ended;
    },
  };
}

/** From where a watch goes on that has ended. */
export function cursorOf(error: ConnectError | undefined): string | undefined {
  return error?.findDetails(WatchEndSchema)[0]?.cursor;
}

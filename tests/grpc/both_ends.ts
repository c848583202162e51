/** Both ends of the agents' door, for tests: a server that does as it is told, and a connection to it. */

import { openAgentBroker } from "../../src/lib/grpc/agent_broker.ts";
import type { AgentBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import type { GrpcError } from "../../src/lib/grpc/errors.ts";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import type { ResponseStream } from "../../src/lib/grpc/response.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import type { ServerTls } from "../../src/lib/http2/server.ts";
import { GRPC_FLAGS, grpcLimits } from "../../src/lib/grpc_config.ts";
import { parseFlags } from "../../src/lib/flags.ts";
import { createLogger } from "../../src/lib/log.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import {
  decodePublishRequest,
  decodeSubscription,
  type Subscription,
} from "../../src/lib/wire/protobuf.ts";
import type { Broker } from "../../src/lib/work/broker.ts";

const log = createLogger({ level: "error", isTerminal: false, write: () => {} });

/** A server that a test plays: it takes everything, and says what it is told to. */
export interface TestServer extends AsyncDisposable {
  port: number;
  subscriptions: Subscription[];
  tokens: (string | undefined)[];
  published: CloudEvent[];
  streams: ResponseStream[];
  /** Refuses every publish with this status. */
  refusal: GrpcError | undefined;
  /** Publishes are answered when this resolves. */
  gate: Promise<void> | undefined;
  /** Publishes so far, answered or not. */
  asked: number;
}

/** Starts such a server; a port of 0 lets the system choose. */
export async function startServer(
  { port = 0, tls, isHeaderless }: { port?: number; tls?: ServerTls; isHeaderless?: boolean } = {},
): Promise<TestServer> {
  const server: Omit<TestServer, "port" | typeof Symbol.asyncDispose> = {
    subscriptions: [],
    tokens: [],
    published: [],
    streams: [],
    refusal: undefined,
    gate: undefined,
    asked: 0,
  };
  const methods = {
    unary: {
      async [PUBLISH](message: Uint8Array) {
        server.asked++;
        await server.gate;
        if (server.refusal !== undefined) throw server.refusal;
        server.published.push(decodePublishRequest(message));
        return new Uint8Array();
      },
    },
    streaming: {
      async [SUBSCRIBE](
        message: Uint8Array,
        stream: ResponseStream,
        call: { header(name: string): string | undefined },
      ) {
        server.subscriptions.push(decodeSubscription(message));
        server.tokens.push(call.header("authorization"));
        server.streams.push(stream);
        if (!isHeaderless) stream.start({ "subscription-id": crypto.randomUUID() });
        await new Promise<void>((resolve) => stream.onClose(resolve));
      },
    },
  };
  const options = {
    hostname: "127.0.0.1",
    port,
    limits: grpcLimits(parseFlags(GRPC_FLAGS, [], {}).values),
    log,
    ...(tls && { tls }),
  };
  const running = await serveGrpc(methods, options);
  return Object.assign(server, {
    port: running.port,
    [Symbol.asyncDispose]: async () => await running[Symbol.asyncDispose](),
  });
}

/** What the agent's side has seen of a connection. */
export interface Connection extends AsyncDisposable {
  broker: Broker;
  received: CloudEvent[];
  subscribed: number;
  reasons: string[];
}

/** Connects as the agent of `c1`. */
export function connect(config: AgentBrokerConfig): Connection {
  const connection: Omit<Connection, "broker" | typeof Symbol.asyncDispose> = {
    received: [],
    subscribed: 0,
    reasons: [],
  };
  const broker = openAgentBroker(config, {
    // deno-lint-ignore require-await
    receive: async (event) => void connection.received.push(event),
    // deno-lint-ignore require-await
    subscribed: async () => void connection.subscribed++,
    disconnected: (reason) => void connection.reasons.push(reason),
  }, { consumerName: "c1", dataTypes: [MANIFEST_BUNDLES], tlsRefreshMs: 50, log });
  return Object.assign(connection, {
    broker,
    [Symbol.asyncDispose]: async () => await broker[Symbol.asyncDispose](),
  });
}

/** An event for that agent. */
export function event(id: string, type = `${MANIFEST_BUNDLES}.spec.create_request`): CloudEvent {
  return { id, source: "maestro", type, extensions: { resourceid: "r" }, data: "{}" };
}

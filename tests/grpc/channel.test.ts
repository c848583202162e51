/** The agent's half of gRPC, against servers that answer in every way that there is. */

import { expect, test } from "bun:test";
import http2, { type ServerHttp2Stream } from "node:http2";
import { gzipSync } from "node:zlib";
import { plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { eventually } from "../harness/eventually.ts";
import { connect } from "./both_ends.ts";
import {
  answer,
  call,
  channelTo,
  FRAME,
  frame,
  GRPC,
  GRPC_HEADERS,
  http2Frame,
  serveFrames,
  serveOddly,
} from "./odd_server.ts";

function alone(stream: ServerHttp2Stream, headers: Record<string, string | number>) {
  stream.respond(headers, { endStream: true });
}

test("messages come in order, then the status of the trailers", async () => {
  await using server = await serveOddly((stream) =>
    answer(stream, [frame("a"), frame(""), frame("b".repeat(100_000))], { "grpc-status": "0" })
  );
  using channel = channelTo(server.port);

  const made = call(channel);

  expect(await made.ended).toEqual({ code: 0, details: "" });
  expect(made.messages).toEqual(["a", "", "b".repeat(100_000)]);
  expect([made.isBegun, made.endings]).toEqual([true, 1]);
});

test.each<[string, (stream: ServerHttp2Stream) => void, { code: number; details: string }]>([
  [
    "a status alone",
    (stream) =>
      alone(stream, { ...GRPC, "grpc-status": 7, "grpc-message": "not %C3%BCber 100%25" }),
    { code: 7, details: "not über 100%" },
  ],
  [
    "a text that is encoded wrongly",
    (stream) => alone(stream, { ...GRPC, "grpc-status": 9, "grpc-message": "%zz%" }),
    { code: 9, details: "%zz%" },
  ],
  [
    "a status that is no number",
    (stream) => alone(stream, { ...GRPC, "grpc-status": "good" }),
    { code: 2, details: "" },
  ],
  ["no status", (stream) => alone(stream, GRPC), {
    code: 2,
    details: "Received HTTP status code 200",
  }],
  ["trailers without a status", (stream) => answer(stream, [], { other: "1" }), {
    code: 2,
    details: "No status information received",
  }],
  [
    "no trailers",
    (stream) => {
      stream.respond(GRPC);
      stream.end(frame("a"));
    },
    {
      code: 13,
      details: "Received RST_STREAM with code 0 (Call ended without gRPC status)",
    },
  ],
  [
    "what is not gRPC",
    (stream) => {
      stream.respond({ ":status": 200, "content-type": "text/html" });
      stream.end("<html>");
    },
    { code: 2, details: 'Received content type "text/html", which is not gRPC' },
  ],
  ...[[400, 13], [401, 16], [403, 7], [404, 12], [429, 14], [502, 14], [503, 14], [504, 14], [
    500,
    2,
  ], [302, 2]].map(([http = 0, code = 0]) =>
    [
      `HTTP ${http}`,
      (stream: ServerHttp2Stream) => {
        stream.respond({ ":status": http, "content-type": "text/plain" });
        stream.end("no");
      },
      { code, details: `Received HTTP status code ${http}` },
    ] satisfies [string, (stream: ServerHttp2Stream) => void, unknown]
  ),
])("an answer means what gRPC says: %s", async (_, respond, expected) => {
  await using server = await serveOddly(respond);
  using channel = channelTo(server.port);

  const made = call(channel);

  expect(await made.ended).toEqual(expected);
  expect(made.endings).toBe(1);
  // The connection is as good as before.
  expect(await call(channel).ended).toEqual(expected);
  expect(server.sessions).toHaveLength(1);
});

test.each([
  [http2.constants.NGHTTP2_REFUSED_STREAM, 14, "Stream refused by server"],
  [http2.constants.NGHTTP2_CANCEL, 1, "Call cancelled"],
  [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 8, "Bandwidth exhausted or memory limit exceeded"],
  [http2.constants.NGHTTP2_INADEQUATE_SECURITY, 7, "Protocol not secure enough"],
  [http2.constants.NGHTTP2_INTERNAL_ERROR, 13, "Received RST_STREAM with code 2"],
])("a reset with code %d means status %d", async (reset, code, details) => {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(reset);
  await using server = await serveFrames((socket, stream) => {
    // Every second one has begun its answer by then.
    if (stream % 4 === 1) socket.write(http2Frame(FRAME.HEADERS, 4, stream, GRPC_HEADERS));
    socket.write(http2Frame(FRAME.RST, 0, stream, body));
  });
  using channel = channelTo(server.port);

  const [first, second] = [call(channel), call(channel)];

  expect(await Promise.all([first.ended, second.ended])).toEqual([
    { code, details },
    { code, details },
  ]);
  expect([first.isBegun, second.isBegun, server.sockets.length]).toEqual([true, false, 1]);
});

test("messages in gzip are unpacked, and the server is told that they may come", async () => {
  const offers: unknown[] = [];
  await using server = await serveOddly((stream, headers) => {
    offers.push(headers["grpc-accept-encoding"]);
    stream.respond({ ...GRPC, "grpc-encoding": "gzip" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.write(frame(gzipSync("packed"), 1));
    stream.end(frame("plain"));
  });
  using channel = channelTo(server.port);

  const made = call(channel);

  expect((await made.ended).code).toBe(0);
  expect(made.messages).toEqual(["packed", "plain"]);
  expect(offers).toEqual(["identity,gzip"]);
});

test("a message that is too large ends its call alone", async () => {
  await using server = await serveOddly((stream) =>
    answer(stream, [frame("a".repeat(101))], { "grpc-status": "0" })
  );
  using channel = channelTo(server.port);

  const small = call(channel, { receiveBytesMax: 100 });
  const large = call(channel, { receiveBytesMax: 101 });

  expect(await small.ended).toEqual({
    code: 8,
    details: "Received message larger than max (101 vs 100)",
  });
  expect((await large.ended).code).toBe(0);
});

test("a call that is not answered ends at its deadline, of which the server knows", async () => {
  const closed: number[] = [];
  let timeout: unknown;
  await using server = await serveOddly((stream, headers) => {
    timeout = headers["grpc-timeout"];
    stream.on("close", () => closed.push(stream.rstCode));
  });
  using channel = channelTo(server.port);

  const made = call(channel, { timeoutMs: 200 });

  expect(await made.ended).toEqual({ code: 4, details: "Deadline exceeded after 0.2 s" });
  expect(timeout).toBe("200m");
  expect(await eventually(() => closed[0])).toBe(http2.constants.NGHTTP2_CANCEL);
});

test("a reader that is slow holds its server back, and then gets everything", async () => {
  const text = "x".repeat(50_000);
  let sent = 0;
  const total = 200;
  await using server = await serveOddly((stream) => {
    stream.respond(GRPC, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    const write = () => {
      while (sent < total) {
        sent++;
        if (!stream.write(frame(text))) return void stream.once("drain", write);
      }
      stream.end();
    };
    write();
  });
  using channel = channelTo(server.port);
  const gate = Promise.withResolvers<void>();
  const made = call(channel, { received: () => gate.promise });
  await eventually(() => made.messages.length === 1);
  let before = -1;
  // Until it stands still.
  await eventually(() => sent === before || void (before = sent), Boolean, { intervalMs: 200 });

  const held = sent;
  gate.resolve();

  expect((await made.ended).code).toBe(0);
  expect(made.messages).toHaveLength(total);
  expect(held).toBeLessThan(total / 2);
});

test("calls wait for their turn when the server takes few at once", async () => {
  let [now, most] = [0, 0];
  const waiting: (() => void)[] = [];
  await using server = await serveOddly((stream) => {
    most = Math.max(most, ++now);
    waiting.push(() => {
      now--;
      answer(stream, [], { "grpc-status": "0" });
    });
  }, { maxConcurrentStreams: 3 });
  using channel = channelTo(server.port);
  await channel.ready;

  const calls = Array.from({ length: 20 }, () => call(channel, { timeoutMs: 20_000 }));
  for (let answered = 0; answered < calls.length; answered++) {
    (await eventually(() => waiting.shift()))?.();
  }

  const codes = await Promise.all(calls.map(async ({ ended }) => (await ended).code));
  expect(codes).toEqual(calls.map(() => 0));
  expect(most).toBe(3);
});

test("a call that waits for its turn ends at its deadline too", async () => {
  await using server = await serveOddly(() => {}, { maxConcurrentStreams: 1 });
  using channel = channelTo(server.port);
  await channel.ready;

  const [first, second] = [call(channel), call(channel, { timeoutMs: 100 })];

  expect((await second.ended).code).toBe(4);
  first.call.end({ code: 1, details: "enough" });
  expect(await first.ended).toEqual({ code: 1, details: "enough" });
});

test("a refusal that comes before a large request is sent is told, and the rest is not sent", async () => {
  const refusal = Buffer.concat([GRPC_HEADERS, Buffer.from("\0\x0bgrpc-status\x018", "latin1")]);
  const resets: number[] = [];
  await using server = await serveFrames(
    (socket, stream) => void socket.write(http2Frame(FRAME.HEADERS, 5, stream, refusal)),
    (stream) => void resets.push(stream),
  );
  using channel = channelTo(server.port);

  const made = call(channel, { message: new Uint8Array(3_000_000) });

  expect(await made.ended).toEqual({ code: 8, details: "" });
  await eventually(() => resets.length === 1);
});

test("what came before a good end is taken before the end is told", async () => {
  const messages = ["a", "b", "c"];
  await using server = await serveOddly((stream) =>
    answer(stream, messages.map((text) => frame(text)), { "grpc-status": "0" })
  );
  using channel = channelTo(server.port);
  const gate = Promise.withResolvers<void>();
  const made = call(channel, { received: () => gate.promise });
  await eventually(() => made.messages.length === 1);

  // Answered after all of it has come.
  await call(channel, { message: new Uint8Array(1) }).ended;
  const endings = made.endings;
  gate.resolve();

  expect((await made.ended).code).toBe(0);
  expect(made.messages).toEqual(messages);
  expect(endings).toBe(0);
});

test("room that a server gives by a larger initial window is used by a request under way", async () => {
  const size = 1_900_000;
  const bytes32 = (value: number) => {
    const body = Buffer.alloc(4);
    body.writeUInt32BE(value);
    return body;
  };
  const trailers = Buffer.concat([GRPC_HEADERS, Buffer.from("\0\x0bgrpc-status\x010", "latin1")]);
  await using server = await serveFrames((socket, stream) => {
    // A million by updates, and nearly another one by the settings: RFC 9113 §6.9.2.
    socket.write(http2Frame(FRAME.WINDOW_UPDATE, 0, 0, bytes32(2_000_000)));
    socket.write(http2Frame(FRAME.WINDOW_UPDATE, 0, stream, bytes32(1_000_000)));
    const widened = Buffer.concat([Buffer.from([0, 4]), bytes32(1_000_000)]);
    socket.write(http2Frame(FRAME.SETTINGS, 0, 0, widened));
    socket.on("data", () => {
      if (socket.bytesRead < size) return;
      socket.write(http2Frame(FRAME.HEADERS, 5, stream, trailers));
    });
  });
  using channel = channelTo(server.port);

  const made = call(channel, { message: new Uint8Array(size), timeoutMs: 3_000 });

  expect(await made.ended).toEqual({ code: 0, details: "" });
});

test("a server that sends its clients away is left, and what is under way finishes", async () => {
  const streams: ServerHttp2Stream[] = [];
  const reasons: string[] = [];
  await using server = await serveOddly((stream) => void streams.push(stream));
  using channel = channelTo(server.port, { sentAway: (reason) => void reasons.push(reason) });
  const made = call(channel);
  await eventually(() => streams.length === 1);

  server.sessions[0]?.goaway(http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  await eventually(() => reasons.length === 1);
  const late = await call(channel).ended;
  channel.close();
  for (const stream of streams) answer(stream, [frame("last")], { "grpc-status": "0" });

  expect((await made.ended).code).toBe(0);
  expect(made.messages).toEqual(["last"]);
  expect(late.code).toBe(14);
  expect(reasons).toEqual(["the server sends its clients away"]);
});

test("what a server says when it throws a client out is the reason that its calls get", async () => {
  await using server = await serveOddly(() => {
    const words = Buffer.from("too_many_pings");
    server.sessions[0]?.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, words);
  });
  using channel = channelTo(server.port);

  expect(await call(channel).ended).toEqual({
    code: 14,
    details: 'Connection dropped: the server said "too_many_pings"',
  });
});

test("a channel that is closed lets calls finish, takes no others, and then disconnects", async () => {
  const streams: ServerHttp2Stream[] = [];
  let closed = 0;
  await using server = await serveOddly((stream) => void streams.push(stream));
  using channel = channelTo(server.port);
  const made = call(channel);
  await eventually(() => streams.length === 1);
  server.sessions[0]?.on("close", () => closed++);

  channel.close();
  const late = await call(channel).ended;
  for (const stream of streams) answer(stream, [], { "grpc-status": "0" });

  expect(await made.ended).toEqual({ code: 0, details: "" });
  expect(late).toEqual({ code: 14, details: "Channel closed" });
  await eventually(() => closed === 1);
});

test("an agent whose server sends it away, and leaves its stream open, subscribes anew", async () => {
  const streams: ServerHttp2Stream[] = [];
  await using server = await serveOddly((stream) => {
    stream.respond(GRPC);
    streams.push(stream);
  });
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));
  await eventually(() => connection.subscribed === 1);

  server.sessions[0]?.goaway(http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);

  await eventually(() => connection.subscribed === 2);
  expect(connection.reasons).toEqual(["the server sends its clients away"]);
  expect(server.sessions).toHaveLength(2);
});

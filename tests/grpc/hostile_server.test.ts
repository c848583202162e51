/** Whatever a server does to its connection, each call of the agent's client ends, once, and the process lives. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { openChannel } from "../../src/lib/grpc/channel.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { connect } from "./both_ends.ts";
import {
  answer,
  call,
  channelTo,
  FRAME,
  frame,
  GRPC_HEADERS,
  http2Frame,
  serveFrames,
  serveOddly,
  serveRaw,
} from "./odd_server.ts";

/** Long after every deadline. */
const LATE_MS = 20_000;
const KEEP_ALIVE = { timeMs: 100, timeoutMs: 100, permitWithoutStream: false };

/** What a server says to one call that goes well, as bytes. */
async function goodAnswer(): Promise<Buffer> {
  await using server = await serveOddly((stream) =>
    answer(stream, [frame("a message")], { "grpc-status": "0" })
  );
  const heard: Buffer[] = [];
  await using proxy = await startTcpProxy(server.port, {
    filterDown: () => (bytes) => {
      heard.push(Buffer.from(bytes));
      return bytes;
    },
  });
  using channel = channelTo(proxy.port);
  expect((await call(channel).ended).code).toBe(0);
  return Buffer.concat(heard);
}

/** Calls a server that says these bytes as soon as it hears something. */
async function callOne(bytes: Buffer, then: (socket: Socket) => void) {
  await using server = await serveRaw((socket) => {
    socket.once("data", () => {
      if (bytes.length > 0) socket.write(bytes);
      then(socket);
    });
  });
  using channel = channelTo(server.port, { connectTimeoutMs: 500 });
  const made = call(channel, { timeoutMs: 500 });
  const second = call(channel, { timeoutMs: 500 });
  const statuses = [await made.ended, await second.ended];
  return { statuses, endings: [made.endings, second.endings], messages: made.messages };
}

test.each(["ends", "resets"])(
  "a connection that a server %s after any byte of its answer ends the call",
  async (way) => {
    const answer = await goodAnswer();
    const codes = new Set<number>();

    for (let size = 0; size <= answer.length; size++) {
      const seen = await callOne(
        answer.subarray(0, size),
        (socket) => void (way === "ends" ? socket.end() : socket.resetAndDestroy()),
      );
      expect(seen.endings).toEqual([1, 1]);
      for (const { code } of seen.statuses) codes.add(code);
    }

    expect([...codes].filter((code) => ![0, 13, 14].includes(code))).toEqual([]);
    expect(codes).toContain(14);
  },
  60_000,
);

test("an answer with changed bytes ends its call, and the connection at the worst", async () => {
  const answer = await goodAnswer();
  const random = (below: number) => Math.floor(Math.random() * below);
  const rounds = Array.from({ length: 150 }, () => {
    const bytes = Buffer.from(answer);
    for (let change = random(3); change >= 0; change--) bytes[random(bytes.length)] = random(256);
    return bytes;
  });
  for (let at = 0; at < rounds.length; at += 50) {
    const seen = await Promise.all(
      rounds.slice(at, at + 50).map((bytes) => {
        // What never ends is to be known by its bytes.
        const late = setTimeout(
          () => process.stderr.write(`no end after ${bytes.toString("hex")}\n`),
          LATE_MS,
        );
        return callOne(bytes, () => {}).finally(() => clearTimeout(late));
      }),
    );
    for (const { endings } of seen) expect(endings).toEqual([1, 1]);
  }
}, 60_000);

test("random bytes in place of HTTP/2 end the call", async () => {
  for (let round = 0; round < 100; round++) {
    const bytes = crypto.getRandomValues(Buffer.alloc(1 + Math.floor(Math.random() * 200)));

    const { statuses, endings } = await callOne(bytes, (socket) => socket.end());

    expect(statuses.map(({ code }) => code)).toEqual([14, 14]);
    expect(endings).toEqual([1, 1]);
  }
}, 60_000);

test("what speaks another protocol is no connection, and the agent tries again", async () => {
  let asked = 0;
  await using server = await serveRaw((socket) => {
    asked++;
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));

  await eventually(() => asked > 1);

  expect(connection.reasons[0]).toBe(
    "No connection established. Last error: Protocol error: the peer does not speak HTTP/2",
  );
});

test.each(["plain text", "TLS"])(
  "a server that never says a word is given up: %s",
  async (kind) => {
    await using server = await serveRaw((socket) => void socket.resume());
    const channel = openChannel(
      { host: "127.0.0.1", port: server.port, ...(kind === "TLS" ? { tls: {} } : {}) },
      { sentAway() {}, connectTimeoutMs: 200 },
    );

    const made = call(channel);

    expect(await made.ended).toEqual({
      code: 14,
      details: "No connection established. Last error: no answer within 0.2 s",
    });
    await eventually(() =>
      server.sockets.every(({ destroyed, readableEnded }) => destroyed || readableEnded)
    );
  },
);

test("a server that falls silent in the middle of a frame is found by pings", async () => {
  await using server = await serveFrames((socket, stream) => {
    socket.write(http2Frame(FRAME.HEADERS, 4, stream, GRPC_HEADERS).subarray(0, 12));
  });
  using channel = channelTo(server.port, { keepAlive: KEEP_ALIVE });

  expect(await call(channel).ended).toEqual({
    code: 14,
    details: "Connection dropped: no answer to a ping within 100 ms",
  });
});

test("without calls there are no pings, unless they are permitted", async () => {
  await using server = await serveOddly(() => {});
  let pings = 0;
  using quiet = channelTo(server.port, { keepAlive: KEEP_ALIVE });
  await quiet.ready;
  await eventually(() => server.sessions.length === 1);
  server.sessions[0]?.on("ping", () => pings++);
  await Bun.sleep(500);
  const before = pings;

  const made = call(quiet);

  await eventually(() => pings > 1);
  expect(before).toBe(0);
  made.call.end({ code: 1, details: "" });
});

const STATUS_0 = Buffer.from("\0\x0bgrpc-status\x010", "latin1");
const STATUS_8 = Buffer.from("\0\x0bgrpc-status\x018", "latin1");
const STATUS_ALONE = Buffer.concat([GRPC_HEADERS, STATUS_0]);
const END_HEADERS = 4;

// None of these calls has a deadline.
test.each<[string, (stream: number) => Buffer[], { code: number; details: string }]>([
  [
    "a good status before the end",
    (stream) => [http2Frame(FRAME.HEADERS, END_HEADERS, stream, STATUS_ALONE)],
    { code: 13, details: "Protocol error: a good status before the end" },
  ],
  [
    "a refusal before the end",
    (stream) => [
      http2Frame(FRAME.HEADERS, END_HEADERS, stream, Buffer.concat([GRPC_HEADERS, STATUS_8])),
    ],
    { code: 8, details: "" },
  ],
  [
    "trailers that are not the end",
    (stream) => [
      http2Frame(FRAME.HEADERS, END_HEADERS, stream, GRPC_HEADERS),
      http2Frame(FRAME.DATA, 0, stream, frame("a")),
      http2Frame(FRAME.HEADERS, END_HEADERS, stream, STATUS_0),
    ],
    { code: 13, details: "Protocol error: headers within a body" },
  ],
  [
    "a header block that never ends",
    (stream) => [http2Frame(FRAME.HEADERS, 0, stream, GRPC_HEADERS)],
    {
      code: 14,
      details: "Connection dropped: Protocol error: the frames of a header block belong together",
    },
  ],
  [
    "a frame that never ends",
    (stream) => [
      http2Frame(FRAME.HEADERS, END_HEADERS, stream, GRPC_HEADERS),
      http2Frame(FRAME.DATA, 0, stream, Buffer.alloc(16_384)).subarray(0, 20),
    ],
    { code: 14, details: "Connection dropped: no answer to a ping within 100 ms" },
  ],
  [
    "an answer to a call that nobody made",
    (stream) => [http2Frame(FRAME.HEADERS, END_HEADERS, stream + 200, GRPC_HEADERS)],
    { code: 14, details: "Connection dropped: Protocol error: stream 201 has not begun" },
  ],
  [
    "more than fits into the window",
    (stream) => [
      http2Frame(FRAME.HEADERS, END_HEADERS, stream, GRPC_HEADERS),
      http2Frame(FRAME.DATA, 0, stream, frame("a")),
      ...Array.from(
        { length: 70 },
        () => http2Frame(FRAME.DATA, 0, stream, new Uint8Array(16_384)),
      ),
    ],
    { code: 13, details: "Protocol error: a body is larger than its window" },
  ],
])("an answer that lacks its end does not leave its call waiting: %s", async (_, say, expected) => {
  await using server = await serveFrames(
    (socket, stream) => void socket.write(Buffer.concat(say(stream))),
    () => {},
    { answersPings: true },
  );
  using channel = channelTo(server.port, { keepAlive: KEEP_ALIVE });

  // The first message is never taken.
  const made = call(channel, { received: () => new Promise(() => {}) });

  expect(await made.ended).toEqual(expected);
  expect(made.endings).toBe(1);
});

test("a server of which the certificate is not what it should be is told nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "maestro-hostile-"));
  const { texts } = await makeCertificate(folder, "DNS:other.example");
  await rm(folder, { recursive: true });
  const heard: Buffer[] = [];
  const connections: Socket[] = [];
  const server = tls.createServer({ ...texts, ALPNProtocols: ["h2"] }, (socket) => {
    connections.push(socket);
    socket.on("error", () => {});
    socket.on("data", (piece: Buffer) => heard.push(piece));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const to = (host: string) =>
    openChannel({ host, port, tls: { ca: Buffer.from(texts.ca) } }, { sentAway() {} });

  const made = call(to("127.0.0.1"));

  expect((await made.ended).details).toContain("does not match certificate's altnames");
  await eventually(() => connections.every(({ destroyed }) => destroyed));
  expect(heard).toEqual([]);
  server.close();
});

test("headers that are more than the server takes are not sent", async () => {
  let asked = 0;
  await using server = await serveOddly(() => void asked++, { maxHeaderListSize: 300 });
  using channel = channelTo(server.port);
  await channel.ready;

  const made = call(channel);

  expect(await made.ended).toEqual({
    code: 13,
    details: expect.stringMatching(/^The headers have 4\d\d bytes, and the server takes 300$/),
  });
  expect(asked).toBe(0);
});

test("frames that nobody asked for harm no call that goes on", async () => {
  const odd = (stream: number) => [
    // A type that does not exist, and room that nobody needs.
    http2Frame(0x77, 0xff, stream, Buffer.from("unknown")),
    http2Frame(FRAME.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 9])),
  ];
  await using server = await serveFrames((socket, stream) => {
    for (const bytes of odd(stream)) socket.write(bytes);
    socket.write(http2Frame(FRAME.HEADERS, 4, stream, GRPC_HEADERS));
    socket.write(http2Frame(FRAME.DATA, 0, stream, frame("a")));
    const trailers = Buffer.from("\0\x0bgrpc-status\x010", "latin1");
    socket.write(http2Frame(FRAME.HEADERS, 5, stream, trailers));
  });
  using channel = channelTo(server.port);

  const made = call(channel);

  expect(await made.ended).toEqual({ code: 0, details: "" });
  expect(made.messages).toEqual(["a"]);
});

test.each([["promised", 5], ["not even promised", 0]])(
  "a server that pushes what nobody wants is left: %s",
  async (_, count) => {
    await using server = await serveFrames((socket, stream) => {
      const promised = Buffer.concat([Buffer.from([0, 0, 0, 2]), GRPC_HEADERS]);
      if (count > 0) socket.write(http2Frame(FRAME.PUSH, 4, stream, promised));
      socket.write(http2Frame(FRAME.HEADERS, 4, 2, GRPC_HEADERS));
      // An error of the connection, of which every stream is told.
      socket.write(http2Frame(FRAME.SETTINGS, 0, 3, Buffer.alloc(5)));
    });
    using channel = channelTo(server.port);

    const made = call(channel, { timeoutMs: 2_000 });

    expect((await made.ended).code).toBe(14);
    expect([made.endings, made.messages]).toEqual([1, []]);
  },
);

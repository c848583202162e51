/** The proxy that stands between the programs does what the faults say. */

import { connect, createServer } from "node:net";
import { expect, test } from "bun:test";
import { dropNotifications } from "../harness/deafness.ts";
import { eventually } from "../harness/eventually.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";

/** A server that answers each text with itself, and a client of it through a proxy. */
async function echo(stack: AsyncDisposableStack) {
  let heard = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      heard += bytes;
      socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void server.close());
  const proxy = stack.use(await startTcpProxy((server.address() as { port: number }).port));
  const client = connect(proxy.port, "127.0.0.1");
  stack.defer(() => void client.destroy());
  const state = { answers: "", isClosed: false };
  client.on("data", (bytes) => state.answers += bytes);
  client.on("error", () => {});
  client.on("close", () => state.isClosed = true);
  client.write("a");
  await eventually(() => state.answers === "a");
  return { proxy, client, state, heard: () => heard };
}

test("a muted direction loses its bytes, and the connection is reset when it is mended", async () => {
  await using stack = new AsyncDisposableStack();
  const { proxy, client, state, heard } = await echo(stack);

  proxy.mute("down");
  client.write("b");
  await eventually(() => heard() === "ab");
  proxy.heal();
  await eventually(() => state.isClosed);

  expect(state.answers).toBe("a");
});

test("a slow direction carries everything, in order", async () => {
  await using stack = new AsyncDisposableStack();
  const { proxy, client, state } = await echo(stack);
  const text = "0123456789".repeat(2_000);

  proxy.slow("up", { bytesPerSecond: 100_000 });
  proxy.slow("down", { delayMs: 50 });
  client.write(text);
  await eventually(() => state.answers.length > text.length);

  expect(state.answers).toBe(`a${text}`);
});

test("cut connections close, and new ones are refused until it is mended", async () => {
  await using stack = new AsyncDisposableStack();
  const { proxy, state } = await echo(stack);

  proxy.refuse();
  proxy.cut();
  await eventually(() => state.isClosed);
  const refused = connect(proxy.port, "127.0.0.1");
  const closed = await new Promise<string>((resolve) => {
    refused.on("error", () => resolve("closed"));
    refused.on("close", () => resolve("closed"));
  });
  proxy.heal();
  const back = connect(proxy.port, "127.0.0.1");
  back.write("c");
  const answer = await new Promise<string>((resolve) => back.on("data", (b) => resolve(`${b}`)));
  back.destroy();

  expect([closed, answer]).toEqual(["closed", "c"]);
});

test("only notifications are dropped, wherever the pieces are cut", () => {
  const message = (type: string, text: string) => {
    const body = Buffer.alloc(5 + text.length);
    body.write(type, 0);
    body.writeUInt32BE(4 + text.length, 1);
    body.write(text, 5);
    return body;
  };
  const all = Buffer.concat([message("D", "row"), message("A", "wake"), message("Z", "I")]);
  const deaf = dropNotifications(() => true);
  const hearing = dropNotifications(() => false);

  const [kept, whole] = [deaf, hearing].map((filter) =>
    Buffer.concat([...all].map((byte) => filter(Buffer.from([byte]))))
  );

  expect(kept?.toString()).toBe(Buffer.concat([message("D", "row"), message("Z", "I")]).toString());
  expect(whole?.toString()).toBe(all.toString());
});

/** Writes to a socket that are gathered until the turn of the event loop ends. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import net, { type AddressInfo, type Socket } from "node:net";
import { gatherWrites } from "../../src/lib/grpc/gathered_writes.ts";

/** Lets `speak` write to a new connection; what the other end reads, and how many writes it took. */
async function heard(speak: (socket: Socket) => void): Promise<{ text: string; writes: number }> {
  const server = net.createServer();
  gatherWrites(server, "connection");
  let writes = 0;
  server.on("connection", (socket) => {
    const write = socket._write.bind(socket);
    socket._write = (...given) => {
      writes++;
      write(...given);
    };
    speak(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  let text = "";
  client.on("data", (chunk) => text += chunk.toString());
  await once(client, "end");
  client.destroy();
  server.close();
  return { text, writes };
}

test("what is written in one turn leaves in one write, in its order", async () => {
  const said = await heard((socket) => {
    for (let number = 0; number < 100; number++) {
      process.nextTick(() => socket.write(`${number} `));
    }
    // On a busy machine a timer may be due in the same turn.
    setImmediate(() =>
      setImmediate(() => {
        socket.write("later");
        setImmediate(() => setImmediate(() => socket.end()));
      })
    );
  });

  expect(said.text).toBe(`${[...Array(100).keys()].join(" ")} later`);
  expect(said.writes).toBe(2);
});

test("what was written leaves before an end that comes in the same turn", async () => {
  const said = await heard((socket) => {
    socket.write("a");
    socket.write("b");
    socket.end("c");
  });

  expect(said.text).toBe("abc");
});

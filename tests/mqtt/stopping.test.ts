/** A server that is told to stop while the broker says nothing. */

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { openHub } from "./hub.ts";

const folder = mkdtempSync(join(tmpdir(), "maestro-stopping-"));
const { files } = await makeCertificate(folder, "IP:127.0.0.1");
afterAll(() => rmSync(folder, { recursive: true }));

const ROADS = { "plain text": [], TLS: [`caFile: ${files.cert}`] };

for (const [name, lines] of Object.entries(ROADS)) {
  test(`who stops does not wait for a broker that takes connections and says nothing, over ${name}`, async () => {
    await using broker = await startMosquitto();
    await using proxy = await startTcpProxy(broker.port);
    proxy.freeze();
    const hub = await openHub(proxy.port, { config: ["dialTimeout: 10m", ...lines] });
    await eventually(() => proxy.connections === 1);

    await hub[Symbol.asyncDispose]();

    expect(await eventually(() => proxy.connections, (count) => count === 0)).toBe(0);
  });
}

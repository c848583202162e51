/** The test broker itself, and what is recorded on it. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { startCapture } from "../harness/mqtt_capture.ts";

/** Publishes with a client that is not ours; resolves with its exit code. */
function publish(args: string[]): Promise<number> {
  const command = ["mosquitto_pub", "-h", "127.0.0.1", "-V", "mqttv5", "-q", "1", ...args];
  return Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }).exited;
}

test("a capture shows topic, properties and payload of every message as they were sent", async () => {
  await using broker = await startMosquitto();
  await using capture = await startCapture(broker, "sources/+/events");
  const property = (name: string, value: string) => ["-D", "publish", "user-property", name, value];

  const code = await publish([
    ...["-p", String(broker.port), "-t", "sources/a/events", "-m", '{"n":9007199254740993}'],
    ...["-D", "publish", "content-type", "application/json"],
    ...property("ce-id", "1"),
    ...property("ce-originalsource", ""),
    ...property("ce-metadata", '{"name": "ü"}'),
  ]);

  expect(code).toBe(0);
  expect(await eventually(() => capture.messages(), (messages) => messages.length > 0)).toEqual([{
    topic: "sources/a/events",
    qos: 1,
    retain: false,
    properties: { "content-type": "application/json" },
    userProperties: { "ce-id": "1", "ce-originalsource": "", "ce-metadata": '{"name": "ü"}' },
    payload: '{"n":9007199254740993}',
  }]);
});

test("with TLS the broker takes nobody without a certificate of its authority", async () => {
  const folder = mkdtempSync(join(tmpdir(), "maestro-tls-"));
  try {
    const { files } = await makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");
    const stranger = await makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");
    await using broker = await startMosquitto({
      tls: { caFile: files.cert, certFile: files.cert, keyFile: files.key },
    });
    const message = ["-p", String(broker.port), "-t", "a", "-m", "b", "--cafile", files.cert];
    const as = ({ cert, key }: typeof files) => publish([...message, "--cert", cert, "--key", key]);

    expect(await as(files)).toBe(0);
    expect(await as(stranger.files)).not.toBe(0);
    expect(await publish(message)).not.toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a broker ends with the test that started it, even if it is killed", async () => {
  // Whoever is killed leaves its folders behind.
  using stack = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "maestro-broker-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const harness = JSON.stringify(`${import.meta.dir}/../harness/mosquitto.ts`);
  const program = `
    import { startMosquitto } from ${harness};
    console.log((await startMosquitto()).port);
    setInterval(() => {}, 1000);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], {
    stdout: "pipe",
    env: { ...process.env, TMPDIR: folder },
  });
  const { value } = await child.stdout.getReader().read();
  const args = ["-p", new TextDecoder().decode(value).trim(), "-t", "a", "-m", "b"];
  expect(await publish(args)).toBe(0);

  child.kill("SIGKILL");
  await child.exited;

  await eventually(() => publish(args), (code) => code !== 0);
});

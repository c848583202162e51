/** Records what crosses a broker with a client that is not ours: mosquitto_sub. */

import { eventually } from "./eventually.ts";
import type { Mosquitto } from "./mosquitto.ts";

export interface CapturedMessage {
  topic: string;
  qos: number;
  retain: boolean;
  /** Every property of the PUBLISH packet but the user's, by its name in MQTT, such as `content-type`. */
  properties: Record<string, unknown>;
  /** In the packet's order; of a name that comes twice only the last. */
  userProperties: Record<string, string>;
  payload: string;
}

export interface Capture extends AsyncDisposable {
  /** What came so far, in the order it came. */
  messages(): CapturedMessage[];
}

/** Subscribes to a topic filter with QoS 1, and resolves when the broker has confirmed it. */
export async function startCapture(broker: Mosquitto, filter: string): Promise<Capture> {
  const clientId = `capture-${crypto.randomUUID()}`;
  const child = Bun.spawn(
    [
      ...["mosquitto_sub", "-h", "127.0.0.1", "-p", String(broker.port), "-i", clientId],
      ...["-V", "mqttv5", "-q", "1", "-t", filter, "-F", "%j"],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  let written = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) written += decoder.decode(chunk, { stream: true });
  };
  const readAll = read();
  const dispose = async () => {
    child.kill("SIGTERM");
    await child.exited;
    await readAll;
  };
  try {
    // The broker's log has a line "<client> <qos> <filter>" for each subscription.
    await eventually(() => broker.log().includes(`${clientId} 1 ${filter}\n`));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    // The last piece is a line that is still being written, or empty.
    messages: () => written.split("\n").slice(0, -1).map(parseMessage),
    [Symbol.asyncDispose]: dispose,
  };
}

function parseMessage(line: string): CapturedMessage {
  const { topic, qos, retain, payload, properties = {} } = JSON.parse(line);
  const { "user-properties": userProperties = {}, ...others } = properties;
  return { topic, qos, retain: retain === 1, properties: others, userProperties, payload };
}

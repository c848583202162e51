/** Reads the file that says where the MQTT broker is, with the keys of the Go programs (wire.md §2.2). */

import {
  checkKeysAt,
  durationAt,
  integerAt,
  invalidConfig,
  parseMapping,
  readConfigFile,
  textAt,
  TLS_KEYS,
  tlsOf,
  type TlsSource,
} from "../broker_config_file.ts";
import { isObject } from "../json.ts";
import { parseTopics, type TopicPatterns } from "../wire/topics.ts";

/** Where the broker is and how to talk to it. */
export interface MqttConfig {
  /** `host:port` as configured; its hash names what an agent owns on its cluster. */
  brokerHost: string;
  host: string;
  port: number;
  username?: string;
  password?: string;
  keepAliveSeconds: number;
  dialTimeoutMs: number;
  pubQos: 0 | 1;
  subQos: 0 | 1;
  topics: TopicPatterns;
  /** Undefined for plain text. */
  tls?: TlsSource;
}

const KNOWN_KEYS = [
  "brokerHost",
  "username",
  "password",
  "keepAlive",
  "dialTimeout",
  "pubQoS",
  "subQoS",
  "topics",
  ...TLS_KEYS,
];
const TOPIC_KEYS = ["sourceEvents", "agentEvents", "sourceBroadcast", "agentBroadcast"];
/** Their names before 2024-02. */
const OLD_TOPIC_KEYS = ["spec", "status", "specResync", "statusResync"];

const KEEP_ALIVE_SECONDS = 60;
const DIAL_TIMEOUT_MS = 60_000;

/**
 * Reads a YAML or JSON file, and the certificates that it names.
 *
 * Those are read to see that they are good: a program that starts with a mistake retries for ever. Throws one
 * `invalid_argument` that names the file and the key.
 */
export function readMqttConfig(path: string): Promise<MqttConfig> {
  return readConfigFile(path, async (text) => {
    const config = parseMqttConfig(text);
    await config.tls?.read();
    return config;
  });
}

/** Parses the text of such a file. Throws `invalid_argument` that names the key. */
export function parseMqttConfig(text: string): MqttConfig {
  const document = parseMapping(text, KNOWN_KEYS);
  checkKeysAt(document, "topics", [...TOPIC_KEYS, ...OLD_TOPIC_KEYS]);
  const brokerHost = textAt(document, "brokerHost");
  if (brokerHost === undefined) throw invalidConfig("brokerHost is required");
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/]+)):(\d{1,5})$/.exec(
    brokerHost,
  ) ?? [];
  const [host, port] = [bracketed ?? plain, Number(digits)];
  if (host === undefined || port < 1 || port > 65_535) {
    throw invalidConfig(`brokerHost must be host:port, not "${brokerHost}"`);
  }
  const tls = tlsOf(document);
  const [username, password] = [textAt(document, "username"), textAt(document, "password")];
  return {
    brokerHost,
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    keepAliveSeconds: integerAt(document, "keepAlive", { min: 0, max: 65_535 }) ??
      KEEP_ALIVE_SECONDS,
    dialTimeoutMs: durationAt(document, "dialTimeout") || DIAL_TIMEOUT_MS,
    pubQos: qosAt(document, "pubQoS"),
    subQos: qosAt(document, "subQoS"),
    topics: parseTopics(isObject(document["topics"]) ? document["topics"] : {}),
    // Authorities alone mean TLS too: whoever names one does not expect plain text (quirk Q27 of the wire).
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Exactly once is not needed where every event may come twice: 2 is taken as 1. */
function qosAt(document: Parameters<typeof integerAt>[0], key: string): 0 | 1 {
  return integerAt(document, key, { min: 0, max: 2 }) === 0 ? 0 : 1;
}

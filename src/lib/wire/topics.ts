/** MQTT topics: which one an event travels on, and which ones a side listens to (wire.md §2.1). */

import { MaestroError } from "../errors.ts";
import { type CloudEvent, EXT, stringExtension } from "./event.ts";
import { ACTION, parseEventType } from "./event_type.ts";

/** The four channels as a configuration names them, with `+` where an id belongs. */
export interface TopicPatterns {
  /** `sources/<source>/consumers/<consumer>/sourceevents`: from a source to an agent. */
  sourceEvents: string;
  /** `sources/<source>/consumers/<consumer>/agentevents`: back; may begin with `$share/<group>/`. */
  agentEvents: string;
  /** A source asks all agents. */
  sourceBroadcast?: string;
  /** An agent asks all sources. */
  agentBroadcast?: string;
}

/** One side's view of the topics. */
export interface Topics {
  subscriptions: string[];
  /** The topic of an event. Throws `invalid_argument` if the event lacks what the topic needs. */
  topicOf(event: CloudEvent): string;
}

const SHARE = String.raw`(\$share/[a-z0-9-]+/)?`;
const ID = String.raw`([a-z0-9-]+|\+)`;
const events = (suffix: string) => new RegExp(`^${SHARE}[a-z]+/${ID}/[a-z]+/${ID}/${suffix}$`);
const broadcast = (suffix: string) => new RegExp(`^${SHARE}[a-z]+/${ID}/${suffix}$`);

/** What each channel looks like, and what it was called before 2024-02 (wire.md §8.3). */
const CHANNELS = {
  sourceEvents: { form: events("sourceevents"), old: "spec", oldForm: events("spec") },
  agentEvents: { form: events("agentevents"), old: "status", oldForm: events("status") },
  sourceBroadcast: {
    form: broadcast("sourcebroadcast"),
    old: "statusResync",
    oldForm: new RegExp(`^[a-z]+/${ID}/[a-z]+/statusresync$`),
  },
  agentBroadcast: {
    form: broadcast("agentbroadcast"),
    old: "specResync",
    oldForm: new RegExp(`^[a-z]+/[a-z]+/${ID}/specresync$`),
  },
} as const;

type Channel = keyof typeof CHANNELS;

/**
 * Reads the `topics` of a configuration, by today's names or by the old ones.
 *
 * Throws `invalid_argument` that names the key.
 */
export function parseTopics(given: Record<string, unknown>): TopicPatterns {
  const known = Object.entries(CHANNELS).flatMap(([name, { old }]) => [name, old]);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalid(`the key topics.${unknown} is not known`);
  const patterns: Partial<TopicPatterns> = {};
  for (const channel of Object.keys(CHANNELS) as Channel[]) {
    const pattern = readPattern(given, channel);
    if (pattern !== undefined) patterns[channel] = pattern;
  }
  const { sourceEvents, agentEvents } = patterns;
  if (sourceEvents === undefined || agentEvents === undefined) {
    throw invalid("the topics must be set: topics.sourceEvents and topics.agentEvents");
  }
  return { ...patterns, sourceEvents, agentEvents };
}

function readPattern(given: Record<string, unknown>, channel: Channel): string | undefined {
  const { form, old, oldForm } = CHANNELS[channel];
  for (const [key, accepted] of [[channel, form], [old, oldForm]] as const) {
    const value = given[key];
    if (value === undefined || value === null || value === "") continue;
    if (typeof value === "string" && accepted.test(value)) return value;
    throw invalid(`topics.${key} "${value}" must match ${accepted.source.replaceAll("\\/", "/")}`);
  }
  return undefined;
}

/**
 * The topics of a source.
 *
 * Throws `invalid_argument` if it would listen to the events of another source.
 */
export function sourceTopics(patterns: TopicPatterns, sourceId: string): Topics {
  const own = place(patterns.agentEvents, { source: sourceId });
  const [, source] = idsOf(own);
  if (source !== sourceId) {
    throw invalid(
      `topics.agentEvents is of the source "${source}", this is the source "${sourceId}"`,
    );
  }
  const { agentBroadcast, sourceBroadcast, sourceEvents } = patterns;
  return {
    subscriptions: [own, ...(agentBroadcast === undefined ? [] : [agentBroadcast])],
    topicOf(event) {
      const consumer = stringExtension(event, EXT.clusterName);
      if (isResyncRequest(event) && consumer === "") {
        if (sourceBroadcast !== undefined) return withoutShare(fill(sourceBroadcast, sourceId));
        throw invalid("a resync request to all agents needs topics.sourceBroadcast");
      }
      return withoutShare(place(sourceEvents, { source: sourceId, consumer: checked(consumer) }));
    },
  };
}

/**
 * The topics of a consumer's agent.
 *
 * Throws `invalid_argument` if they name another consumer: the agent would hear only what it must ignore.
 */
export function agentTopics(patterns: TopicPatterns, consumerName: string): Topics {
  const consumer = checked(consumerName);
  const { agentBroadcast, agentEvents, sourceBroadcast, sourceEvents } = patterns;
  for (const [key, pattern] of Object.entries({ sourceEvents, agentEvents })) {
    const named = idsOf(place(pattern, { consumer }))[3];
    if (named === consumer) continue;
    throw invalid(
      `topics.${key} is of the consumer "${named}", this is the agent of "${consumer}"`,
    );
  }
  return {
    subscriptions: [
      place(sourceEvents, { consumer }),
      ...(sourceBroadcast === undefined ? [] : [sourceBroadcast]),
    ],
    topicOf(event) {
      const source = stringExtension(event, EXT.originalSource);
      if (isResyncRequest(event) && source === "" && agentBroadcast !== undefined) {
        return withoutShare(fill(agentBroadcast, consumer));
      }
      const topic = withoutShare(place(agentEvents, {
        consumer,
        ...(source === "" ? {} : { source: checked(source) }),
      }));
      if (!topic.includes("+")) return topic;
      throw invalid(
        "topics.agentEvents names no source: name it, or set topics.agentBroadcast to ask all of them",
      );
    },
  };
}

function isResyncRequest({ type }: CloudEvent): boolean {
  return parseEventType(type).action === ACTION.resyncRequest;
}

/** Puts ids where a pattern of events has a `+`: the second word is the source, the fourth the consumer. */
function place(pattern: string, ids: { source?: string; consumer?: string }): string {
  const [share, topic] = split(pattern);
  const words = topic.split("/");
  for (const [at, id] of [[1, ids.source], [3, ids.consumer]] as const) {
    if (words[at] === "+" && id !== undefined) words[at] = id;
  }
  return share + words.join("/");
}

/** Puts the id where a pattern of a broadcast has its `+`. */
function fill(pattern: string, id: string): string {
  return pattern.replace("+", () => id);
}

function idsOf(pattern: string): string[] {
  return split(pattern)[1].split("/");
}

/** A share group says who takes turns in listening; nothing is ever published to it (MQTT 5 §4.8.2). */
function withoutShare(pattern: string): string {
  return split(pattern)[1];
}

function split(pattern: string): [share: string, topic: string] {
  const [, share = "", topic = ""] = /^(\$share\/[^/]+\/)?(.*)$/.exec(pattern) ?? [];
  return [share, topic];
}

/** An id becomes one word of a topic. */
function checked(id: string): string {
  if (id !== "" && !/[/+#\0]/.test(id)) return id;
  throw invalid(`"${id}" cannot be a word of an MQTT topic`);
}

function invalid(state: string): MaestroError {
  return new MaestroError("invalid_argument", state);
}

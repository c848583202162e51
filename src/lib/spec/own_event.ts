/** The event of a change that did not come as one. */

import { type CloudEvent, EXT } from "../wire/event.ts";
import { formatEventType } from "../wire/event_type.ts";
import { formatTime } from "../wire/time.ts";

/** What a change is about. */
export interface EventSubject {
  source: string;
  action: string;
  dataType: string;
  id: string;
  consumerName: string;
  version: number;
  /** What traces it, as the `logtracing` extension has it. */
  tracing?: string | undefined;
}

/** Makes the event by which agents are told of a change. */
export function createOwnEvent(subject: EventSubject): CloudEvent {
  const { source, action, dataType, id, consumerName, version, tracing } = subject;
  return {
    id: crypto.randomUUID(),
    source,
    type: formatEventType({ dataType, subresource: "spec", action }),
    time: formatTime(Date.now()),
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: id,
      [EXT.resourceVersion]: version,
      [EXT.clusterName]: consumerName,
      ...(tracing !== undefined && { [EXT.logTracing]: tracing }),
    },
  };
}

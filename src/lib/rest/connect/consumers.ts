/** Consumers over Connect: lists and single ones. */

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Consumer,
  Consumer_Connection,
  ConsumerSchema,
  type ConsumerService,
} from "../../../gen/maestro/v1/consumer_pb.ts";
import {
  type Consumer as ConsumerRow,
  getConsumer,
  pageConsumers,
} from "../../consumer/consumers.ts";
import type { Db } from "../../db/connect.ts";
import { readPageSize, readPageToken, writePageToken } from "./page.ts";
import { toTimestamp } from "./present.ts";

const CONNECTIONS: Record<ConsumerRow["connection"], Consumer_Connection> = {
  unknown: Consumer_Connection.UNSPECIFIED,
  connected: Consumer_Connection.CONNECTED,
  disconnected: Consumer_Connection.DISCONNECTED,
};

/** Makes the methods of `maestro.v1.ConsumerService`. */
export function createConsumerCalls(db: Db): ServiceImpl<typeof ConsumerService> {
  return {
    async list({ pageSize, pageToken }) {
      const limit = readPageSize(pageSize);
      const items = await pageConsumers(db, { after: readPageToken(pageToken), limit });
      return {
        consumers: items.map(presentConsumer),
        nextPageToken: items.length < limit ? "" : writePageToken(items.at(-1)?.id ?? ""),
      };
    },
    get: async ({ id }) => ({ consumer: presentConsumer(await getConsumer(db, id)) }),
  };
}

function presentConsumer(consumer: ConsumerRow): Consumer {
  const { id, name, labels = {}, last_seen_at, agent_version } = consumer;
  return create(ConsumerSchema, {
    ...{ id, name, labels },
    createdAt: toTimestamp(consumer.created_at),
    updatedAt: toTimestamp(consumer.updated_at),
    connection: CONNECTIONS[consumer.connection],
    ...(last_seen_at !== undefined && { lastSeenAt: toTimestamp(last_seen_at) }),
    ...(agent_version !== undefined && { agentVersion: agent_version }),
  });
}

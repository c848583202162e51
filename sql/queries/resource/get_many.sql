-- Reads resources by their ids, in no order, also while they are being deleted.
--
-- $1 ids
-- null: silent_seconds
select resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
  resource.data_type, resource.version, resource.spec, resource.metadata, resource.status,
  resource.status_version, resource.status_sequence, resource.created_at, resource.updated_at,
  resource.deleted_at, resource.observed_version, resource.applied_version, resource.sent_version,
  resource.sent_at, resource.attempts, resource.next_send_at,
  extract(epoch from now() - consumer.last_seen_at)::int as silent_seconds
from resources resource
left join consumers consumer on consumer.name = resource.consumer_name
where resource.id = any ($1::text[]);

-- Reads a page of the resources of a type, oldest first, also those that are being deleted.
--
-- $1 type
-- $2 limit_count
-- $3 offset_count
-- null: silent_seconds
select resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
  resource.data_type, resource.version, resource.spec, resource.metadata, resource.status,
  resource.status_version, resource.status_sequence, resource.created_at, resource.updated_at,
  resource.deleted_at, resource.observed_version, resource.applied_version, resource.sent_version,
  resource.sent_at, resource.attempts, resource.next_send_at,
  extract(epoch from now() - consumer.last_seen_at)::int as silent_seconds
from resources resource
left join consumers consumer on consumer.name = resource.consumer_name
where resource.type = $1
order by resource.created_at, resource.id
limit $2::int offset $3::bigint;

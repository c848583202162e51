-- Reads resources for a list, in no order; the documents only if they are to be shown.
--
-- $1 ids
-- $2 with_spec
-- $3 with_status
-- not null: spec
-- null: silent_seconds, status
select resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
  resource.data_type, resource.version,
  case when $2::bool then resource.spec else '{}'::json end as spec,
  resource.metadata,
  case when $3::bool then resource.status end as status,
  resource.status_version, resource.status_sequence, resource.created_at, resource.updated_at,
  resource.deleted_at, resource.observed_version, resource.applied_version, resource.sent_version,
  resource.sent_at, resource.attempts, resource.next_send_at,
  extract(epoch from now() - consumer.last_seen_at)::int as silent_seconds
from resources resource
left join consumers consumer on consumer.name = resource.consumer_name
where resource.id = any ($1::text[]);

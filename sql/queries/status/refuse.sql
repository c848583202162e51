-- Stores the server's own word on a version that cannot be sent, with its entry in the change feed.
--
-- Only once for each hash. It comes between the agent's last report and its next, whose sequence is that
-- of a later moment; without a last one it is the first sequence that peers take (node 1, at their epoch).
-- The version is not observed, so it stays pending.
--
-- $1 id
-- $2 version
-- $3 status
-- $4 status_event
-- $5 status_hash
-- not null: id
with refused as (
  update resources resource
  set status = $3::text::json,
    status_event = jsonb_set(
      $4::text::jsonb,
      '{sequenceid}',
      to_jsonb(coalesce(resource.status_sequence + 1, 4096)::text)
    )::json,
    status_version = resource.version,
    status_sequence = coalesce(resource.status_sequence + 1, 4096),
    status_hash = $5,
    updated_at = now()
  where resource.id = $1
    and resource.version = $2::int
    and resource.status_hash is distinct from $5
  returning resource.id, resource.source, resource.consumer_name, resource.status_sequence,
    resource.created_at
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, sequence, resource_created_at)
  select 'status', id, source, consumer_name, status_sequence, created_at from refused
), woken as (
  select pg_notify('changes', '') from refused having count(*) > 0
)
select refused.id
from refused
left join woken on true;

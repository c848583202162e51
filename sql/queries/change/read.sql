-- Reads the feed after a cursor, with the states that these sources are to be told.
--
-- Only rows of transactions older than any that still runs, in their order, so that what commits late
-- is never passed over. A status is told by its last change only: `is_current` says which that is.
--
-- $1 after_xid
-- $2 after_id
-- $3 sources
-- $4 limit_count
-- not null: xid, is_current, resource_created_at
-- null: spec, metadata, status, status_event, resource_deleted_at
select change.xid::text as xid, change.id, change.kind, change.source, change.resource_id,
  change.consumer_name,
  change.kind = 'deleted' or coalesce(resource.status_sequence = change.sequence, false) as is_current,
  coalesce(change.spec, resource.spec) as spec,
  coalesce(change.metadata, resource.metadata) as metadata,
  coalesce(change.status, resource.status) as status,
  coalesce(change.status_event, resource.status_event) as status_event,
  change.resource_created_at,
  coalesce(change.resource_deleted_at, resource.deleted_at) as resource_deleted_at
from changes change
left join resources resource
  on resource.id = change.resource_id
  and change.kind = 'status'
  and change.source = any($3::text[])
where (change.xid, change.id) > ($1::text::xid8, $2::bigint)
  and change.xid < pg_snapshot_xmin(pg_current_snapshot())
order by change.xid, change.id
limit $4::int;

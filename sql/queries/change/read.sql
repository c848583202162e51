-- Reads the feed after a cursor, with the states that these sources or everybody are to be told.
--
-- Only rows of transactions older than any that still runs, in their order, so that what commits late
-- is never passed over. `next_xid` is where they end: once no row is left, all before it has been read. There is
-- always a row, and with an empty feed it has no `id`. States are those of now, of the same life as the
-- change; of many changes of a kind only the last is given its state.
--
-- The limits are written out, since PostgreSQL plans without knowing parameters, and a page too long
-- would make it sort the whole feed. And it must not be taken for more than it costs, or each page is compiled
-- first (jit_above_cost). States are cut after 8 MB; `page_count` tells. What is not compressed tells its size, and is not
-- read for it. Nobody but watchers is told of consumers.
--
-- $1 after_xid
-- $2 after_id
-- $3 sources null for everybody's, and for specs as well
-- not null: epoch, next_xid, is_too_old, is_ahead, is_held, is_current, is_creation, page_count
-- null: xid, id, kind, source, resource_id, consumer_name, labels_before, name, type, data_type, version, spec, metadata, status, status_event, status_version, status_sequence, created_at, updated_at, deleted_at, observed_version, applied_version, sent_version, sent_at, attempts, next_send_at, silent_seconds
with page as materialized (
  select *
  from changes
  where (xid, id) > ($1::text::xid8, $2::bigint)
    and xid < pg_snapshot_xmin(pg_current_snapshot())
    and (kind <> 'spec' or $3::text[] is null)
  order by xid, id
  limit 500
), marked as (
  select page.*,
    page.kind <> 'deleted'
      and ($3::text[] is null or page.source = any ($3::text[]))
      and (
        page.labels_before is not null
        or row_number() over (
          partition by page.resource_id, page.kind, page.resource_created_at
          order by page.xid desc, page.id desc
        ) = 1
      ) as is_wanted,
    bool_or(page.created_at = page.resource_created_at) over (
      partition by page.resource_id, page.kind, page.resource_created_at
    ) as is_creation
  from page
), told as (
  select marked.xid, marked.id, marked.kind, marked.source, marked.resource_id,
    marked.consumer_name, marked.labels_before,
    marked.kind = 'spec' and marked.is_creation as is_creation,
    marked.kind = 'deleted' or coalesce(
      resource.created_at = marked.resource_created_at
        and (marked.kind = 'spec' or resource.status_sequence = marked.sequence),
      false
    ) as is_current,
    coalesce(marked.name, resource.name) as name,
    coalesce(marked.type, resource.type) as type,
    coalesce(marked.data_type, resource.data_type) as data_type,
    coalesce(marked.version, resource.version) as version,
    coalesce(marked.spec, resource.spec) as spec,
    coalesce(marked.metadata, resource.metadata) as metadata,
    coalesce(marked.status, resource.status) as status,
    coalesce(marked.status_event, resource.status_event) as status_event,
    coalesce(marked.version, resource.status_version) as status_version,
    coalesce(marked.sequence, resource.status_sequence) as status_sequence,
    marked.resource_created_at as created_at,
    coalesce(resource.updated_at, marked.created_at) as updated_at,
    coalesce(marked.resource_deleted_at, resource.deleted_at) as deleted_at,
    resource.observed_version, resource.applied_version, resource.sent_version, resource.sent_at,
    resource.attempts, resource.next_send_at, resource.silent_seconds,
    count(*) over () as page_count,
    sum(
      case when pg_column_compression(coalesce(marked.spec, resource.spec)) is null
      then coalesce(pg_column_size(coalesce(marked.spec, resource.spec)), 0)
      else octet_length(coalesce(marked.spec, resource.spec)::text) end
      + case when pg_column_compression(coalesce(marked.status, resource.status)) is null
      then coalesce(pg_column_size(coalesce(marked.status, resource.status)), 0)
      else octet_length(coalesce(marked.status, resource.status)::text) end
    ) over (order by marked.xid, marked.id rows between unbounded preceding and 1 preceding) as bytes_before
  from marked
  left join lateral (
    select resources.*,
      extract(epoch from now() - consumers.last_seen_at)::int as silent_seconds
    from resources
    left join consumers on $3::text[] is null and consumers.name = resources.consumer_name
    where resources.id = marked.resource_id and marked.is_wanted
    limit 1
  ) resource on true
)
select (select feed_epoch()) as epoch,
  pg_snapshot_xmin(pg_current_snapshot())::text as next_xid,
  coalesce(
    (select (horizon_xid, horizon_id) > ($1::text::xid8, $2::bigint) from feed limit 1),
    true
  ) as is_too_old,
  $1::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()) as is_ahead,
  case
    when pg_snapshot_xmin(pg_current_snapshot()) < pg_snapshot_xmax(pg_current_snapshot())
    then exists (select from changes where xid >= pg_snapshot_xmin(pg_current_snapshot()))
    else false
  end as is_held,
  told.xid::text as xid, told.id, told.kind, told.source, told.resource_id, told.consumer_name,
  told.labels_before, coalesce(told.is_current, false) as is_current,
  coalesce(told.is_creation, false) as is_creation, told.name, told.type,
  told.data_type, told.version, told.spec, told.metadata, told.status, told.status_event,
  told.status_version, told.status_sequence, told.created_at, told.updated_at, told.deleted_at,
  told.observed_version, told.applied_version, told.sent_version, told.sent_at, told.attempts,
  told.next_send_at, told.silent_seconds,
  coalesce(told.page_count, 0)::int as page_count
from (select) as once
left join told on coalesce(told.bytes_before, 0) < 8000000
order by told.xid, told.id;

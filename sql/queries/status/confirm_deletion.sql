-- Removes resources whose deletion their agents confirm, leaving a tombstone and an entry in the feed.
--
-- Only what is being deleted, and only by a report that is newer than the last one: a late
-- confirmation from an earlier life of the same id changes nothing. Of what was abandoned it is noted
-- that the agent has removed it after all.
--
-- $1 ids
-- $2 consumer_names
-- $3 sequences null where the report has none
-- $4 statuses joined
-- $5 status_events joined
-- not null: position
with report as (
  select *
  from unnest(
    $1::text[], $2::text[], $3::bigint[], string_to_array($4::text, E'\x1f', ''),
    string_to_array($5::text, E'\x1f', '')
  ) with ordinality as report (id, consumer_name, sequence, status, status_event, position)
), gone as (
  delete from resources resource
  using report
  where resource.id = report.id
    and resource.consumer_name = report.consumer_name
    and resource.deleted_at is not null
    and (
      report.sequence is null
      or resource.status_sequence is null
      or resource.status_sequence < report.sequence
    )
  returning resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
    resource.data_type, resource.version, resource.spec, resource.metadata, resource.created_at, resource.deleted_at,
    resource.deleted_by, greatest(resource.status_sequence, report.sequence) as sequence,
    report.status, report.status_event, report.position
), buried as (
  insert into tombstones (id, source, consumer_name, version, last_sequence, deleted_at, deleted_by)
  select id, source, consumer_name, version, sequence, deleted_at, deleted_by from gone
  on conflict (id) do update
  set source = excluded.source,
    consumer_name = excluded.consumer_name,
    version = excluded.version,
    last_sequence = excluded.last_sequence,
    deleted_at = excluded.deleted_at,
    deleted_by = excluded.deleted_by,
    confirmed_at = now(),
    abandoned_by = null,
    abandoned_at = null,
    is_confirmed = true
), found as (
  update tombstones tombstone
  set is_confirmed = true, confirmed_at = now()
  from report
  where tombstone.id = report.id
    and tombstone.consumer_name = report.consumer_name
    and not tombstone.is_confirmed
    and tombstone.id not in (select id from gone)
), fed as (
  insert into changes (
    kind, resource_id, source, consumer_name, sequence, spec, metadata, status, status_event,
    resource_created_at, resource_deleted_at, name, type, data_type, version
  )
  select 'deleted', id, source, consumer_name, sequence, spec, metadata, status::json,
    status_event::json, created_at, deleted_at, name, type, data_type, version
  from gone
)
select gone.position::int as position
from gone;

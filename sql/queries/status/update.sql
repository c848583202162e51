-- Stores reports and their entries in the change feed, in one statement.
--
-- A report counts only for the version that is stored and only if it is newer than the last one. No
-- row means that it is stale, which makes a duplicate harmless wherever it arrives. One that says that all is done
-- starts the time that the resource still has, if its spec sets one; the first such word counts.
--
-- $1 ids
-- $2 consumer_names
-- $3 versions
-- $4 sequences
-- $5 applied_versions
-- $6 statuses joined
-- $7 status_events joined
-- $8 status_hashes
-- $9 finished true if everything is done, in the version that is reported
-- not null: position
with report as (
  select *
  from unnest(
    $1::text[], $2::text[], $3::int[], $4::bigint[], $5::int[],
    string_to_array($6::text, E'\x1f', ''), string_to_array($7::text, E'\x1f', ''), $8::text[],
    $9::bool[]
  ) with ordinality as report (
    id, consumer_name, version, sequence, applied_version, status, status_event, status_hash,
    is_finished, position
  )
), stored as (
  update resources resource
  set status = report.status::json,
    status_event = report.status_event::json,
    status_version = report.version,
    status_sequence = report.sequence,
    status_hash = report.status_hash,
    observed_version = report.version,
    applied_version = greatest(resource.applied_version, report.applied_version),
    attempts = case when resource.deleted_at is null then 0 else resource.attempts end,
    expires_at = case
      when report.is_finished and resource.deleted_at is null
        and resource.ttl_version = resource.version
      then coalesce(resource.expires_at, now() + make_interval(secs => resource.ttl_seconds))
    end,
    finished_sequence = case when report.is_finished then report.sequence end,
    updated_at = now()
  from report
  where resource.id = report.id
    and resource.consumer_name = report.consumer_name
    and resource.version = report.version
    and (resource.status_sequence is null or resource.status_sequence < report.sequence)
  returning resource.id, resource.source, resource.consumer_name, resource.status_sequence,
    resource.created_at, report.position
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, sequence, resource_created_at)
  select 'status', id, source, consumer_name, status_sequence, created_at from stored
)
select stored.position::int as position
from stored;

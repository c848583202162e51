-- Marks resources as being deleted whose jobs have been done for as long as their specs say, as if somebody had asked:
-- each with the note that its agent must be told and an entry in the change feed, in one statement.
--
-- What another server marks at the moment is left to it. A new version or a status that is no longer complete has taken
-- the time away; one that a server of before this option has written counts as such.
--
-- $1 limit_count
-- $2 deleted_by
with due as (
  select id
  from resources
  where expires_at <= now()
    and deleted_at is null
    and ttl_version = version
    and status_sequence = finished_sequence
  order by expires_at
  limit $1::int
  for update skip locked
), marked as (
  update resources resource
  set deleted_at = clock_timestamp(), deleted_by = $2::text, expires_at = null, sent_version = 0,
    attempts = 0, next_send_at = now()
  where resource.id = any (array(select id from due))
  returning resource.id, resource.source, resource.consumer_name, resource.version,
    resource.ttl_seconds, resource.created_at
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, true from marked
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, resource_created_at)
  select 'spec', id, source, consumer_name, created_at from marked
), woken as (
  select pg_notify('spec_events', left(string_agg(distinct consumer_name, ','), 7000))
  from marked
  having count(*) > 0
), fed_woken as (
  select pg_notify('changes', '') from marked having count(*) > 0
)
select marked.id, marked.consumer_name, marked.version, marked.ttl_seconds
from marked
left join woken on true
left join fed_woken on true;

-- Finds resources of which their agents hold a later version than is stored, and overtakes those that wait.
--
-- A database that was restored from a backup is behind its agents. A change that somebody asks for afterwards would
-- be older than what the agent holds, and wait for ever: so it gets a version above that, and is sent at once. What
-- nobody has changed stays as it is, here and on the agent.
--
-- $1 ids
-- $2 consumer_names
-- $3 versions
-- $4 sequences of the reports that say so; null where a list does
-- not null: id, consumer_name, version
-- null: new_version
with held as (
  select *
  from unnest($1::text[], $2::text[], $3::int[], $4::bigint[])
    as held (id, consumer_name, version, sequence)
), behind as (
  select resource.id, resource.consumer_name, resource.version, held.version as held_version
  from held
  join resources resource on resource.id = held.id
  where resource.consumer_name = held.consumer_name
    and resource.version < held.version
    -- A report from an earlier life of the same id says nothing of this one.
    and (
      held.sequence is null
      or resource.status_sequence is null
      or resource.status_sequence < held.sequence
    )
), overtaken as (
  update resources resource
  set version = behind.held_version + 1,
    ttl_version = case
      when resource.ttl_version = resource.version then behind.held_version + 1
    end,
    expires_at = null, attempts = 0, next_send_at = now(),
    updated_at = now()
  from behind
  where resource.id = behind.id
    and resource.version < behind.held_version
    and behind.held_version < 2147483647
    and resource.version <> resource.observed_version
    and resource.deleted_at is null
  returning resource.id, resource.source, resource.consumer_name, resource.version,
    resource.created_at
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, false from overtaken
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, resource_created_at)
  select 'spec', id, source, consumer_name, created_at from overtaken
), woken as (
  select pg_notify('spec_events', left(string_agg(distinct consumer_name, ','), 7000)),
    pg_notify('changes', '')
  from overtaken
  having count(*) > 0
)
select behind.id, behind.consumer_name, behind.version, overtaken.version as new_version
from behind
left join overtaken on overtaken.id = behind.id
left join woken on true;

-- Marks resources as being deleted, each with the note that its agent must be told and an entry in the change
-- feed, in one statement.
--
-- What is not there, or being deleted already, or belongs to another source, stays as it is. The time of the
-- deletion is taken with the row locked: whoever read the row alive did so before.
--
-- $1 ids
-- $2 sources
-- not null: position
-- null: source, is_marked
with input as (
  select * from unnest($1::text[], $2::text[]) with ordinality as input (id, source, position)
), marked as (
  update resources resource
  set deleted_at = clock_timestamp(), sent_version = 0, attempts = 0, next_send_at = now()
  from input
  where resource.id = input.id
    and resource.deleted_at is null
    and resource.source = coalesce(input.source, resource.source)
  returning resource.id, resource.source, resource.consumer_name, resource.created_at
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
select input.position::int as position, resource.source, marked.id is not null as is_marked
from input
left join resources resource on resource.id = input.id
left join marked on marked.id = input.id
left join woken on true
left join fed_woken on true;

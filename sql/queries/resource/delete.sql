-- Marks resources as being deleted, each with the note that its agent must be told and an entry in the change
-- feed, in one statement.
--
-- What is not there, or being deleted already, or belongs to another source, or has another version than the caller
-- has seen, stays as it is. The time of the deletion is taken with the row locked: whoever read the row
-- alive did so before. A receipt that exists fails the statement: the change has been made.
--
-- $1 ids
-- $2 sources
-- $3 versions 0 for whatever is stored
-- $4 lives when the resource that is meant was created; null for whichever has the id
-- $5 receipts null for a change that needs none
-- not null: position, is_deleting, is_other_life
-- null: source, consumer_name, is_marked, version
with input as (
  select *
  from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[]) with ordinality
    as input (id, source, version, life, receipt, position)
), marked as (
  update resources resource
  set deleted_at = clock_timestamp(), expires_at = null, sent_version = 0, attempts = 0,
    next_send_at = now()
  from input
  where resource.id = input.id
    and resource.deleted_at is null
    and resource.source = coalesce(input.source, resource.source)
    and resource.version in (input.version, case input.version when 0 then resource.version end)
    and resource.created_at = coalesce(input.life, resource.created_at)
  returning resource.id, resource.source, resource.consumer_name, resource.created_at
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, true from marked
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, resource_created_at)
  select 'spec', id, source, consumer_name, created_at from marked
), receipted as (
  insert into receipts (id, resource_id, version)
  select input.receipt, input.id, coalesce(resource.version, 0)
  from input
  left join resources resource on resource.id = input.id
  left join marked on marked.id = input.id
  where input.receipt is not null
    and (marked.id is not null or resource.id is null or resource.deleted_at is not null)
)
select input.position::int as position, resource.source, resource.consumer_name,
  marked.id is not null as is_marked, resource.version, resource.deleted_at is not null as is_deleting,
  coalesce(resource.created_at <> input.life, false) as is_other_life
from input
left join resources resource on resource.id = input.id
left join marked on marked.id = input.id;

-- Stores new versions of resources, each with the note that its agent must be told and an entry in the change
-- feed, in one statement.
--
-- A version of 0 takes whatever is stored. What is being deleted, has another version, belongs to
-- another source or is the same already stays as it is; the answer tells which, as seen before the update.
-- A source that has come to speak another data type changes that of its resource, and what kind it is.
--
-- $1 ids
-- $2 sources
-- $3 versions
-- $4 specs
-- $5 spec_hashes
-- $6 spec_events
-- $7 metadatas
-- $8 data_types
-- $9 types null keeps the stored one
-- not null: position, is_deleting, is_same
-- null: version, source, new_version
with input as (
  select *
  from unnest(
    $1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[]
  ) with ordinality as input (
    id, source, version, spec, spec_hash, spec_event, metadata, data_type, type, position
  )
), updated as (
  update resources resource
  set version = resource.version + 1,
    spec = input.spec::json,
    spec_hash = input.spec_hash,
    spec_event = input.spec_event::json,
    labels_before = case
      when resource.metadata -> 'labels' is distinct from input.metadata::jsonb -> 'labels'
      then coalesce(resource.metadata -> 'labels', '{}')
    end,
    metadata = input.metadata::jsonb,
    data_type = input.data_type,
    type = case
      when resource.data_type = input.data_type then resource.type
      else coalesce(input.type, resource.type)
    end,
    attempts = 0,
    next_send_at = now(),
    updated_at = now()
  from input
  where resource.id = input.id
    and resource.deleted_at is null
    and resource.version in (input.version, case input.version when 0 then resource.version end)
    and resource.source = coalesce(input.source, resource.source)
    and resource.spec_hash <> input.spec_hash
  returning resource.id, resource.source, resource.consumer_name, resource.version,
    resource.labels_before, resource.created_at
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, false from updated
), fed as (
  insert into changes (
    kind, resource_id, source, consumer_name, labels_before, resource_created_at
  )
  select 'spec', id, source, consumer_name, labels_before, created_at from updated
), woken as (
  select pg_notify('spec_events', left(string_agg(distinct consumer_name, ','), 7000))
  from updated
  having count(*) > 0
), fed_woken as (
  select pg_notify('changes', '') from updated having count(*) > 0
)
select input.position::int as position, resource.version, resource.source,
  resource.deleted_at is not null as is_deleting,
  coalesce(resource.spec_hash = input.spec_hash, false) as is_same,
  updated.version as new_version
from input
left join resources resource on resource.id = input.id
left join updated on updated.id = input.id
left join woken on true
left join fed_woken on true;

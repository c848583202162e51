-- Stores new versions of resources, each with the note that its agent must be told and an entry in the change
-- feed, in one statement.
--
-- A version of 0 takes whatever is stored. What is being deleted, has another version, belongs to
-- another source or is the same already stays as it is; the answer tells which, as seen before the update.
-- A source that has come to speak another data type changes that of its resource, and what kind it is. A receipt
-- that exists fails the statement: the change has been made.
--
-- While nothing of a resource is sent, one note is enough for all its versions: a consumer may be away for months.
--
-- What its server sends by itself once this is committed is marked as sent, as the publisher would (spec_event/claim);
-- nobody else is told.
--
-- $1 ids
-- $2 sources
-- $3 versions
-- $4 specs joined
-- $5 spec_hashes
-- $6 spec_events joined
-- $7 metadatas joined
-- $8 data_types
-- $9 types null keeps the stored one
-- $10 lives when the resource that is meant was created; null for whichever has the id
-- $11 receipts null for a change that needs none
-- $12 ttls seconds that it stays once it is done; null for ever
-- $13 send_tos the consumer to which its server sends, if it is of that; else null
-- not null: position, is_deleting, is_same, is_other_life
-- null: version, source, new_version, consumer_name, created_at, sent_at
with input as (
  select *
  from unnest(
    $1::text[], $2::text[], $3::int[], string_to_array($4::text, E'\x1f', ''), $5::text[],
    string_to_array($6::text, E'\x1f', ''), string_to_array($7::text, E'\x1f', ''), $8::text[],
    $9::text[], $10::timestamptz[], $11::text[], $12::int[], $13::text[]
  ) with ordinality as input (
    id, source, version, spec, spec_hash, spec_event, metadata, data_type, type, life, receipt,
    ttl_seconds, send_to, position
  )
), updated as (
  update resources resource
  set version = resource.version + 1,
    spec = input.spec::json,
    spec_hash = input.spec_hash,
    spec_event = input.spec_event::json,
    labels_before = case
      when resource.metadata -> 'labels' is distinct from input.metadata::jsonb -> 'labels'
      then coalesce(resource.metadata -> 'labels', 'null')
    end,
    metadata = input.metadata::jsonb,
    data_type = input.data_type,
    type = case
      when resource.data_type = input.data_type then resource.type
      else coalesce(input.type, resource.type)
    end,
    ttl_seconds = input.ttl_seconds,
    ttl_version = resource.version + 1,
    expires_at = null,
    sent_version = case
      when resource.consumer_name = input.send_to then resource.version + 1
      else resource.sent_version
    end,
    sent_at = case
      when resource.consumer_name = input.send_to then clock_timestamp() else resource.sent_at
    end,
    attempts = case when resource.consumer_name = input.send_to then 1 else 0 end,
    next_send_at = case
      when resource.consumer_name = input.send_to
      then now() + interval '20 s' * (0.75 + random() * 0.5)
      -- Its note waits since then: what it was has neither been sent, nor is it held without that, nor lost.
      when resource.sent_version <> resource.version and resource.version <> resource.observed_version
        and (resource.sent_version > 0 or resource.sent_at is null)
      then least(resource.next_send_at, now())
      else now()
    end,
    updated_at = now()
  from input
  where resource.id = input.id
    and resource.deleted_at is null
    and resource.version in (input.version, case input.version when 0 then resource.version end)
    and resource.source = coalesce(input.source, resource.source)
    and resource.created_at = coalesce(input.life, resource.created_at)
    and resource.spec_hash <> input.spec_hash
    -- There is none behind the last, and one that cannot be counted up must not fail the others.
    and resource.version < 2147483647
  returning resource.id, resource.source, resource.consumer_name, resource.version,
    resource.labels_before, resource.created_at,
    case when resource.consumer_name = input.send_to then resource.sent_at end as sent_at,
    resource.next_send_at < now() as is_noted
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, false from updated where sent_at is null and not is_noted
), fed as (
  insert into changes (
    kind, resource_id, source, consumer_name, labels_before, resource_created_at
  )
  select 'spec', id, source, consumer_name, labels_before, created_at from updated
), receipted as (
  insert into receipts (id, resource_id, version)
  select input.receipt, input.id, coalesce(updated.version, resource.version)
  from input
  join resources resource on resource.id = input.id
  left join updated on updated.id = input.id
  where input.receipt is not null
    and (
      updated.id is not null
      or (
        resource.deleted_at is null
        and resource.version in (input.version, case input.version when 0 then resource.version end)
        and resource.source = coalesce(input.source, resource.source)
        and resource.created_at = coalesce(input.life, resource.created_at)
        and resource.spec_hash = input.spec_hash
      )
    )
)
select input.position::int as position, resource.version, resource.source,
  resource.deleted_at is not null as is_deleting,
  coalesce(resource.spec_hash = input.spec_hash, false) as is_same,
  coalesce(resource.created_at <> input.life, false) as is_other_life,
  updated.version as new_version, updated.consumer_name, updated.created_at, updated.sent_at
from input
left join resources resource on resource.id = input.id
left join updated on updated.id = input.id;

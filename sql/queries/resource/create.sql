-- Stores new resources, each with the note that its agent must be told and an entry in the change feed, in one
-- statement.
--
-- An id or name that is taken, and a consumer that is not known, leave nothing behind and bring no row. A resource
-- that is created again takes over the last sequence of its earlier life; if that was abandoned, its agent may still
-- hold it, and would take this one for the same: so it begins above its version. A receipt that exists fails the
-- statement: the change has been made.
--
-- What its server sends by itself once this is committed is marked as sent, as the publisher would (spec_event/claim);
-- nobody else is told.
--
-- $1 ids
-- $2 names
-- $3 sources
-- $4 consumer_names
-- $5 types
-- $6 versions
-- $7 specs joined
-- $8 spec_hashes
-- $9 spec_events joined
-- $10 metadatas joined
-- $11 data_types
-- $12 receipts null for a change that needs none
-- $13 ttls seconds that it stays once it is done; null for ever
-- $14 sends true for what its server sends
-- not null: id, version, created_at
-- null: sent_at
with created as (
  insert into resources (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata,
    data_type, status_sequence, ttl_seconds, ttl_version, sent_version, sent_at, attempts, next_send_at
  )
  select input.id, input.name, input.source, input.consumer_name, input.type, first.version,
    input.spec::json, input.spec_hash, input.spec_event::json, input.metadata::jsonb,
    input.data_type, tombstone.last_sequence, input.ttl_seconds, first.version,
    case when input.is_sent then first.version else 0 end,
    case when input.is_sent then clock_timestamp() end,
    case when input.is_sent then 1 else 0 end,
    case
      when input.is_sent then now() + interval '20 s' * (0.75 + random() * 0.5) else now()
    end
  from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[],
    string_to_array($7::text, E'\x1f', ''), $8::text[],
    string_to_array($9::text, E'\x1f', ''), string_to_array($10::text, E'\x1f', ''),
    $11::text[], $13::int[], $14::bool[]
  ) as input (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata, data_type,
    ttl_seconds, is_sent
  )
  join consumers consumer on consumer.name = input.consumer_name
  left join tombstones tombstone on tombstone.id = input.id
  cross join lateral (values (greatest(
    input.version,
    case
      when not tombstone.is_confirmed and tombstone.consumer_name = input.consumer_name
      then least(tombstone.version, 2147483646) + 1
    end
  ))) as first (version)
  -- What is there as the statement begins is taken, whatever becomes of it: if its deletion commits meanwhile, its
  -- tombstone is not seen here. Looked up one by one: as a join it may be planned to read the whole table.
  where (select resource.id from resources resource where resource.id = input.id) is null
  on conflict do nothing
  returning id, source, consumer_name, version, created_at, sent_at
), noted as (
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, false from created where sent_at is null
), fed as (
  insert into changes (kind, resource_id, source, consumer_name, resource_created_at)
  select 'spec', id, source, consumer_name, created_at from created
), receipted as (
  insert into receipts (id, resource_id, version)
  select input.receipt, input.id, created.version
  from unnest($12::text[], $1::text[]) as input (receipt, id)
  join created on created.id = input.id
  where input.receipt is not null
), reborn as (
  delete from tombstones using created where tombstones.id = created.id
)
select created.id, created.version, created.created_at, created.sent_at
from created;

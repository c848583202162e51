-- Buries a resource without its agent's word, since nobody will ever give it, and says who wanted that.
--
-- An agent that is there has to have been told of the deletion: else its objects would stay with nobody
-- knowing. The sequence of the last report, which is not known here, goes up by one.
--
-- $1 id
-- $2 type
-- $3 abandoned_by
-- $4 status
-- $5 status_event
-- $6 connected_seconds for so long after it was last seen an agent counts as there
-- not null: id
with gone as (
  delete from resources resource
  where resource.id = $1
    and resource.type = $2
    and (
      (resource.deleted_at is not null and resource.sent_version = resource.version)
      or coalesce(
        (
          select consumer.last_seen_at
          from consumers consumer
          where consumer.name = resource.consumer_name
        ) < now() - make_interval(secs => $6::int),
        true
      )
    )
  returning resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
    resource.data_type, resource.version, resource.spec, resource.metadata, resource.created_at, coalesce(resource.deleted_at, now()) as deleted_at,
    resource.deleted_by, coalesce(resource.status_sequence + 1, 4096) as sequence
), buried as (
  insert into tombstones (
    id, source, consumer_name, version, last_sequence, deleted_at, deleted_by, abandoned_by,
    abandoned_at, is_confirmed
  )
  select id, source, consumer_name, version, sequence, deleted_at, deleted_by, $3, now(), false
  from gone
  on conflict (id) do update
  set source = excluded.source,
    consumer_name = excluded.consumer_name,
    version = excluded.version,
    last_sequence = excluded.last_sequence,
    deleted_at = excluded.deleted_at,
    deleted_by = excluded.deleted_by,
    confirmed_at = now(),
    abandoned_by = excluded.abandoned_by,
    abandoned_at = excluded.abandoned_at,
    is_confirmed = false
), fed as (
  insert into changes (
    kind, resource_id, source, consumer_name, sequence, spec, metadata, status, status_event,
    resource_created_at, resource_deleted_at, name, type, data_type, version
  )
  select 'deleted', id, source, consumer_name, sequence, spec, metadata, $4::text::json,
    jsonb_set(
      jsonb_set($5::text::jsonb, '{sequenceid}', to_jsonb(sequence::text)),
      '{resourceversion}',
      to_jsonb(version)
    )::json,
    created_at, deleted_at, name, type, data_type, version
  from gone
), woken as (
  select pg_notify('changes', '') from gone having count(*) > 0
)
select gone.id
from gone
left join woken on true;

-- Pages through the bundles that pass a filter, that of `list_bundles.sql`, by their ids.
--
-- $1 ids null for any
-- $2 names null for any
-- $3 sources null for any
-- $4 consumer_names null for any
-- $5 labels
-- $6 label_terms
-- $7 after_id
-- $8 limit_count
-- null: silent_seconds
select resource.id, resource.name, resource.source, resource.consumer_name, resource.type,
  resource.data_type, resource.version, resource.spec, resource.metadata, resource.status,
  resource.status_version, resource.status_sequence, resource.created_at, resource.updated_at,
  resource.deleted_at, resource.observed_version, resource.applied_version, resource.sent_version,
  resource.sent_at, resource.attempts, resource.next_send_at,
  extract(epoch from now() - consumer.last_seen_at)::int as silent_seconds
from resources resource
left join consumers consumer on consumer.name = resource.consumer_name
where resource.type = 'Bundle'
  and ($1::text[] is null or resource.id = any ($1::text[]))
  and ($2::text[] is null or resource.name = any ($2::text[]))
  and ($3::text[] is null or resource.source = any ($3::text[]))
  and ($4::text[] is null or resource.consumer_name = any ($4::text[]))
  and coalesce(resource.metadata -> 'labels', '{}') @> $5::text::jsonb
  and not exists (
    select
    from jsonb_to_recordset($6::text::jsonb) as term (key text, is_in boolean, "values" text[])
    where (resource.metadata -> 'labels' ->> term.key = any (term."values")) is distinct from term.is_in
  )
  and resource.id > $7
order by resource.id
limit $8::int;

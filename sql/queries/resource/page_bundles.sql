-- Pages through the bundles that pass a filter, that of `list_bundles.sql`, by their ids.
--
-- $1 ids null for any
-- $2 names null for any
-- $3 sources null for any
-- $4 consumer_names null for any
-- $5 labels
-- $6 label_terms
-- $7 after_id
select id, name, source, consumer_name, type, data_type, version, spec, metadata, status,
  status_version, status_sequence, created_at, updated_at, deleted_at
from resources
where type = 'Bundle'
  and ($1::text[] is null or id = any ($1::text[]))
  and ($2::text[] is null or name = any ($2::text[]))
  and ($3::text[] is null or source = any ($3::text[]))
  and ($4::text[] is null or consumer_name = any ($4::text[]))
  and coalesce(metadata -> 'labels', '{}') @> $5::text::jsonb
  and not exists (
    select
    from jsonb_to_recordset($6::text::jsonb) as term (key text, is_in boolean, "values" text[])
    where (metadata -> 'labels' ->> term.key = any (term."values")) is distinct from term.is_in
  )
  and id > $7
order by id
limit 100;

-- Pages through what a consumer should hold of a data type, without the documents, for a spec resync.
--
-- On its way is what was sent to this connection and not reported since. The size is that on disk, which is known
-- without reading the document.
--
-- $1 consumer_name
-- $2 after_id
-- $3 limit_count
-- $4 connected_at
-- $5 data_type
-- not null: is_deleting, is_on_its_way, is_observed, stored_bytes
select id, version, deleted_at is not null as is_deleting, observed_version = version as is_observed,
  sent_version = version
    and coalesce(sent_at between $4::timestamptz and clock_timestamp(), false) as is_on_its_way,
  pg_column_size(spec) as stored_bytes
from resources
where consumer_name = $1 and id > $2 and data_type = $5
order by id
limit $3::int;

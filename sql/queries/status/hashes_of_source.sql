-- Pages through the hashes of the statuses of a source, for a status resync.
--
-- The size is that on disk, which is known without reading the documents.
--
-- $1 source
-- $2 after_id
-- $3 limit_count
-- not null: has_status, stored_bytes
-- null: status_hash
select id, status_hash, status is not null and status_event is not null as has_status,
  coalesce(pg_column_size(spec), 0) + coalesce(pg_column_size(status), 0) as stored_bytes
from resources
where source = $1 and id > $2
order by id
limit $3::int;

-- Reads a page of the resources of a type, oldest first, also those that are being deleted.
--
-- $1 type
-- $2 limit_count
-- $3 offset_count
select id, name, source, consumer_name, type, data_type, version, spec, metadata, status, status_version,
  status_sequence, created_at, updated_at, deleted_at
from resources
where type = $1
order by created_at, id
limit $2::int offset $3::bigint;

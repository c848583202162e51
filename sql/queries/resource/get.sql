-- Reads a resource by its id, also while it is being deleted.
--
-- $1 id
select id, name, source, consumer_name, type, data_type, version, spec, metadata, status, status_version,
  status_sequence, created_at, updated_at, deleted_at
from resources
where id = $1;

-- Pages through the statuses of a source, for a status resync.
--
-- $1 source
-- $2 after_id
-- $3 limit_count
-- null: status, status_event, status_hash
select id, spec, metadata, status, status_event, status_hash, created_at, deleted_at
from resources
where source = $1 and id > $2
order by id
limit $3::int;

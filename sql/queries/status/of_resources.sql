-- Reads the statuses of resources of a source, for a status resync.
--
-- $1 source
-- $2 ids
-- not null: status, status_event
select id, spec, metadata, status, status_event, created_at, deleted_at
from resources
where id = any ($2::text[]) and source = $1 and status is not null and status_event is not null
order by id;

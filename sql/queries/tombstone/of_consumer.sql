-- Finds which of these resources are known to be deleted on a consumer.
--
-- $1 consumer_name
-- $2 ids
select tombstone.id, tombstone.deleted_at
from tombstones tombstone
where tombstone.consumer_name = $1
  and tombstone.id = any($2::text[])
  and not exists (select from resources resource where resource.id = tombstone.id);

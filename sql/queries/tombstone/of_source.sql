-- Finds which of these resources of a source are known to be deleted.
--
-- An id that was created again, by whomever, has no tombstone any more.
--
-- $1 source
-- $2 ids
select id, consumer_name, version, last_sequence, confirmed_at
from tombstones
where source = $1 and id = any($2::text[]);

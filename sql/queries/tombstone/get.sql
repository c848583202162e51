-- Reads the tombstone of a resource: when it went, and who gave it up if its agent never confirmed.
--
-- $1 id
select id, source, consumer_name, version, last_sequence, deleted_at, confirmed_at, abandoned_by,
  abandoned_at, is_confirmed
from tombstones
where id = $1;

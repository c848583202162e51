-- Reads a page of consumers, oldest first.
--
-- $1 limit_count
-- $2 offset_count
select id, name, labels, created_at, updated_at
from consumers
order by created_at, id
limit $1::int offset $2::bigint;

-- Reads a consumer by its id.
--
-- $1 id
select id, name, labels, created_at, updated_at
from consumers
where id = $1;

-- Reads consumers for a list, in no order.
--
-- $1 ids
-- null: silent_seconds
select id, name, labels, created_at, updated_at, last_seen_at, agent_version,
  extract(epoch from now() - last_seen_at)::int as silent_seconds
from consumers
where id = any ($1::text[]);

-- Reads a page of consumers, oldest first.
--
-- $1 limit_count
-- $2 offset_count
-- null: silent_seconds
select id, name, labels, created_at, updated_at, last_seen_at, agent_version,
  extract(epoch from now() - last_seen_at)::int as silent_seconds
from consumers
order by created_at, id
limit $1::int offset $2::bigint;

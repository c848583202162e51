-- Reads a page of consumers in the order of their ids.
--
-- $1 after_id
-- $2 limit_count
-- null: silent_seconds
select id, name, labels, created_at, updated_at, last_seen_at, agent_version,
  extract(epoch from now() - last_seen_at)::int as silent_seconds
from consumers
where id > $1
order by id
limit $2::int;

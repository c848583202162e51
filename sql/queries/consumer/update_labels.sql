-- Replaces the labels of a consumer.
--
-- $1 id
-- $2 labels
-- null: labels, silent_seconds
update consumers
set labels = $2::jsonb, updated_at = now()
where id = $1
returning id, name, labels, created_at, updated_at, last_seen_at, agent_version,
  extract(epoch from now() - last_seen_at)::int as silent_seconds;

-- Stores a new consumer. A name that is taken violates `consumers_name_key`.
--
-- $1 id
-- $2 name
-- $3 labels
-- null: labels, silent_seconds
insert into consumers (id, name, labels)
values ($1, $2, $3::jsonb)
returning id, name, labels, created_at, updated_at, last_seen_at, agent_version,
  extract(epoch from now() - last_seen_at)::int as silent_seconds;

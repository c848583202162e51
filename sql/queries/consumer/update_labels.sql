-- Replaces the labels of a consumer.
--
-- $1 id
-- $2 labels
-- null: labels
update consumers
set labels = $2::jsonb, updated_at = now()
where id = $1
returning id, name, labels, created_at, updated_at;

-- Finds which of these consumers have events waiting.
--
-- Asked by the consumers that are connected to one server: those of others, or of none, may be many more.
--
-- $1 consumer_names
-- not null: consumer_name
select consumer.name as consumer_name
from unnest($1::text[]) as consumer (name)
where exists (select from events event where event.consumer_name = consumer.name);

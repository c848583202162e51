-- Finds which of these consumers have something pending.
--
-- Asked by the consumers that are connected to one server: those of others, or of none, may be many more.
--
-- $1 consumer_names
-- not null: consumer_name
select consumer.name as consumer_name
from unnest($1::text[]) as consumer (name)
where exists (
  select from resources resource
  where resource.consumer_name = consumer.name
    and (resource.version <> resource.observed_version or resource.deleted_at is not null)
);

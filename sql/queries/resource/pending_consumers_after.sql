-- Finds consumers that have something pending, by name, from a place on.
--
-- Each step looks up one entry of the index of pending resources.
--
-- $1 after_name
-- $2 limit_count
-- not null: consumer_name
with recursive turn (consumer_name, place) as (
  select (
    select resource.consumer_name from resources resource
    where resource.consumer_name > $1
      and (resource.version <> resource.observed_version or resource.deleted_at is not null)
    order by resource.consumer_name
    limit 1
  ), 1
  union all
  select (
    select resource.consumer_name from resources resource
    where resource.consumer_name > turn.consumer_name
      and (resource.version <> resource.observed_version or resource.deleted_at is not null)
    order by resource.consumer_name
    limit 1
  ), turn.place + 1
  from turn
  where turn.consumer_name is not null and turn.place < $2::int
)
select turn.consumer_name
from turn
where turn.consumer_name is not null;

-- Finds consumers that have events waiting, by name, from a place on.
--
-- Each step looks up one entry of the index, so a consumer costs the same whether one of its events waits
-- or a hundred thousand.
--
-- $1 after_name
-- $2 limit_count
-- not null: consumer_name
with recursive turn (consumer_name, place) as (
  select (
    select event.consumer_name from events event
    where event.consumer_name > $1
    order by event.consumer_name
    limit 1
  ), 1
  union all
  select (
    select event.consumer_name from events event
    where event.consumer_name > turn.consumer_name
    order by event.consumer_name
    limit 1
  ), turn.place + 1
  from turn
  where turn.consumer_name is not null and turn.place < $2::int
)
select turn.consumer_name
from turn
where turn.consumer_name is not null;

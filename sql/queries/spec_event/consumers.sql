-- Lists the consumers that have events waiting, by hopping from one to the next along the key.
--
-- $1 limit_count
-- not null: consumer_name
with recursive waiting as (
  (select consumer_name from events order by consumer_name limit 1)
  union all
  select (
    select event.consumer_name from events event
    where event.consumer_name > waiting.consumer_name
    order by event.consumer_name limit 1
  )
  from waiting
  where waiting.consumer_name is not null
)
select consumer_name from waiting where consumer_name is not null limit $1::int;

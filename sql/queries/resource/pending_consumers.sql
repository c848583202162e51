-- Lists the consumers that have something pending, by hopping from one to the next along the index.
--
-- $1 limit_count
-- not null: consumer_name
with recursive pending as (
  (
    select consumer_name from resources
    where version <> observed_version or deleted_at is not null
    order by consumer_name limit 1
  )
  union all
  select (
    select resource.consumer_name from resources resource
    where (resource.version <> resource.observed_version or resource.deleted_at is not null)
      and resource.consumer_name > pending.consumer_name
    order by resource.consumer_name limit 1
  )
  from pending
  where pending.consumer_name is not null
)
select consumer_name from pending where consumer_name is not null limit $1::int;

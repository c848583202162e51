-- Drops tombstones that nobody can still ask for.
--
-- What was abandoned may still be on its cluster, so its tombstone waits for the agent, or for the end of
-- the consumer.
--
-- $1 age_seconds
-- $2 limit_count
with old as (
  select id from tombstones
  where confirmed_at < now() - make_interval(secs => $1::int)
    and (
      is_confirmed
      or not exists (select from consumers where consumers.name = tombstones.consumer_name)
    )
  order by confirmed_at
  limit $2::int
)
delete from tombstones using old where tombstones.id = old.id
returning tombstones.id;

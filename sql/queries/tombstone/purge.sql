-- Drops tombstones that nobody can still ask for.
--
-- $1 age_seconds
-- $2 limit_count
with old as (
  select id from tombstones
  where confirmed_at < now() - make_interval(secs => $1::int)
  order by confirmed_at
  limit $2::int
)
delete from tombstones using old where tombstones.id = old.id
returning tombstones.id;

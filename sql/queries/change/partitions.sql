-- The hours of the feed that upkeep looks at: those that have a partition, and those to come that lack one.
--
-- Only hours that begin a while from now get one: a statement that has found no partition for its entry fails if
-- one is attached just then. And an hour that has entries in the default partition can have none of its own.
--
-- $1 ahead_hours
-- $2 age_seconds
-- not null: name, from_time, to_time, is_there, is_old
with existing as (
  select child.relname::text as name, to_timestamp(substr(child.relname, 9), 'YYYYMMDDHH24') as hour
  from pg_inherits
  join pg_class child on child.oid = inhrelid
  where inhparent = 'changes'::regclass and child.relname ~ '^changes_\d{10}$'
), wanted as (
  select 'changes_' || to_char(hour, 'YYYYMMDDHH24') as name, hour
  from generate_series(
    date_trunc('hour', now() + interval '5 min') + interval '1 hour',
    now() + make_interval(hours => $1::int),
    interval '1 hour'
  ) hour
  where not exists (
    select from changes_default
    where created_at >= hour and created_at < hour + interval '1 hour'
  )
)
select coalesce(existing.name, wanted.name) as name,
  coalesce(existing.hour, wanted.hour) as from_time,
  coalesce(existing.hour, wanted.hour) + interval '1 hour' as to_time,
  existing.name is not null as is_there,
  coalesce(existing.hour, wanted.hour) + interval '1 hour'
    < now() - make_interval(secs => $2::int) as is_old
from existing
full join wanted using (name)
order by 1;

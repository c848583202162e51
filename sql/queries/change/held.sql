-- Says what holds the feed back: the oldest entry that waits for a transaction, and whose transaction it is.
--
-- Of sessions that belong to others PostgreSQL may not tell who they are.
--
-- $1 age_seconds
-- not null: held_seconds, xid
-- null: holder
select extract(epoch from now() - change.created_at)::int as held_seconds,
  pg_snapshot_xmin(pg_current_snapshot())::text as xid,
  coalesce(
    (
      select format('session %s of "%s", %s', pid, application_name, state)
      from pg_stat_activity
      where backend_xid = pg_snapshot_xmin(pg_current_snapshot())::xid
      limit 1
    ),
    (
      select format('prepared transaction "%s"', gid)
      from pg_prepared_xacts
      where transaction = pg_snapshot_xmin(pg_current_snapshot())::xid
      limit 1
    )
  ) as holder
from (
  select created_at
  from changes
  where xid >= pg_snapshot_xmin(pg_current_snapshot())
  order by xid, id
  limit 1
) change
where change.created_at < now() - make_interval(secs => $1::int);

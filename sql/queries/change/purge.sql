-- Drops entries of the feed that are older than its retention.
--
-- $1 age_seconds
-- $2 limit_count
with old as (
  select xid, id from changes
  where created_at < now() - make_interval(secs => $1::int)
  order by created_at
  limit $2::int
)
delete from changes using old where changes.xid = old.xid and changes.id = old.id
returning changes.id;

-- Deletes entries older than the retention from the default partition, and remembers the last of them.
--
-- $1 age_seconds
-- $2 limit_count
with gone as (
  delete from changes_default
  where ctid = any (array(
    select ctid
    from changes_default
    where created_at < now() - make_interval(secs => $1::int)
    order by created_at
    limit $2::int
  ))
  returning xid, id
), last as (
  select xid, id from gone order by xid desc, id desc limit 1
), moved as (
  update feed
  set horizon_xid = last.xid, horizon_id = last.id
  from last
  where (last.xid, last.id) > (feed.horizon_xid, feed.horizon_id)
)
select id from gone;

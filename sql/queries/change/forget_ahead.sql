-- Deletes entries that no transaction of this database has written: they came with a restored copy.
--
-- $1 limit_count
delete from changes
where (xid, id) in (
  select xid, id from changes
  where xid > pg_snapshot_xmax(pg_current_snapshot())
  order by xid desc, id desc
  limit $1::int
)
returning id;

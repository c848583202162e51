-- The place in the feed from which a reader that starts now must read.
--
-- not null: xid
select pg_snapshot_xmin(pg_current_snapshot())::text as xid;

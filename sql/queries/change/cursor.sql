-- The place in the feed from which a reader that starts now must read, and which feed it is.
--
-- not null: xid, epoch
select pg_snapshot_xmin(pg_current_snapshot())::text as xid, feed_epoch() as epoch;

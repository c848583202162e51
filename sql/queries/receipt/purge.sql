-- Forgets receipts whose requests are forgotten.
--
-- $1 age_seconds
-- $2 limit_count
with old as (
  select id from receipts
  where created_at < now() - make_interval(secs => $1::int)
  order by created_at
  limit $2::int
)
delete from receipts using old where receipts.id = old.id
returning receipts.id;

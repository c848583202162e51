-- Forgets requests that are too old to come again.
--
-- $1 age_seconds
-- $2 limit_count
with old as (
  select caller, key from request_keys
  where created_at < now() - make_interval(secs => $1::int)
  order by created_at
  limit $2::int
)
delete from request_keys request using old
where request.caller = old.caller and request.key = old.key
returning request.request_id;

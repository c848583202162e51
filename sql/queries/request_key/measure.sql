-- Counts the requests that are kept, up to a number, and the bytes of their answers, by the index alone.
--
-- $1 count_max
-- not null: kept, body_bytes
select count(*)::int as kept, coalesce(sum(sample.body_bytes), 0)::float8 as body_bytes
from (
  select request.body_bytes
  from request_keys request
  order by request.created_at
  limit $1::int
) sample;

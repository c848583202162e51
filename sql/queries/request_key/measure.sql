-- Counts the requests that are kept, up to a number, and the bytes of their answers.
--
-- $1 count_max
-- not null: kept, body_bytes
select count(*)::int as kept, coalesce(sum(pg_column_size(sample.body)), 0)::float8 as body_bytes
from (select body from request_keys limit $1::int) sample;

-- The tables that have more than twice the pages that PostgreSQL knew of when it was last told to look.
--
-- Only those that the session's role may analyze. A few pages more say nothing yet.
--
-- $1 names
-- $2 more_pages
-- not null: name
select relname::text as name
from pg_class
where oid = any ($1::text[]::regclass[])
  and pg_relation_size(oid) > (2 * relpages + $2::int)::bigint * current_setting('block_size')::int
  and pg_has_role(relowner, 'usage');

-- Pages through the names of all consumers.
--
-- $1 after_name
-- $2 limit_count
select name
from consumers
where name > $1
order by name
limit $2::int;

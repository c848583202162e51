-- Counts the resources of a type.
--
-- $1 type
-- not null: total
select count(*) as total
from resources
where type = $1;

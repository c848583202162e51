-- Counts all consumers.
--
-- not null: total
select count(*) as total
from consumers;

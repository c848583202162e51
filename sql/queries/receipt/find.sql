-- Reads which of these changes have been made.
--
-- $1 ids
select id, resource_id, version
from receipts
where id = any ($1::text[]);

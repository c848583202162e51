-- Removes a consumer, and what waited to be sent to it: of resources that were abandoned. One that has resources, even
-- while they are being deleted, violates `fk_resources_consumers`.
--
-- $1 id
with gone as (
  delete from consumers
  where id = $1
  returning name
)
delete from events
using gone
where events.consumer_name = gone.name;

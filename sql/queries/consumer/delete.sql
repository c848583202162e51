-- Removes a consumer. One that has resources, even while they are being deleted, violates
-- `fk_resources_consumers`.
--
-- $1 id
delete from consumers
where id = $1;

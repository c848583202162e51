-- Tells why resources were not created. Neither reason: what was in the way has gone meanwhile.
--
-- $1 ids
-- $2 names
-- $3 consumer_names
-- not null: id, is_taken, is_known_consumer
select input.id,
  exists (select from resources where resources.id = input.id)
    or exists (select from resources where resources.name = input.name) as is_taken,
  exists (select from consumers where consumers.name = input.consumer_name) as is_known_consumer
from unnest($1::text[], $2::text[], $3::text[]) as input (id, name, consumer_name);

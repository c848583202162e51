-- Tells what a change would meet, and that what it would store can be stored. Changes nothing.
--
-- $1 id
-- $2 name
-- $3 consumer_name
-- $4 spec
-- $5 metadata null for none
-- not null: is_known_consumer, now_time
-- null: spec_hash, name_owner, is_storable
select stored.spec_hash,
  (select other.id from resources other where other.name = $2) as name_owner,
  exists (select from consumers where name = $3) as is_known_consumer,
  $4::text::json is not null and coalesce($5::text::jsonb is not null, true) as is_storable,
  clock_timestamp() as now_time
from (values ($1::text)) as input (id)
left join resources stored on stored.id = input.id;

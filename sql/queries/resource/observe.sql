-- Marks resources as held by their agent, which says so in a resync though no report came.
--
-- $1 ids
-- $2 versions
with held as (
  select * from unnest($1::text[], $2::int[]) as held (id, version)
)
update resources resource
set observed_version = resource.version
from held
where resource.id = held.id
  and resource.version = held.version
  and resource.observed_version <> resource.version
returning resource.id;

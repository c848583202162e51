-- Marks what an agent says that it lacks, so that it is pending again whatever becomes of the answer.
--
-- The answer itself is under way: only if it fails the ledger sends, after a while. Ids between two
-- others are looked at, since a long list comes in parts; they are compared by their bytes.
-- `is_just_reported` tells that the version was reported within the last minute: then the list may be
-- older than the report, and nothing is lost.
--
-- Both sides are gathered by id and not joined, since PostgreSQL does not know how long the list is: a
-- plan for ten ids walked one of 20,000 for each resource (90 s). And what is lost is updated by its id
-- alone, or a plan may walk that for each resource of the consumer.
--
-- $1 consumer_name
-- $2 ids
-- $3 versions
-- $4 after_id
-- $5 through_id null for the end
-- $6 data_type
-- not null: is_just_reported
with seen as (
  select resource.id, resource.observed_version, 0 as held_version
  from resources resource
  where resource.consumer_name = $1
    and resource.data_type = $6
    and resource.id collate "C" > $4
    and ($5::text is null or resource.id collate "C" <= $5)
    and resource.observed_version > 0
  union all
  select held.id, 0, held.version
  from unnest($2::text[], $3::int[]) as held (id, version)
),
lost as (
  select seen.id, max(seen.held_version) as version
  from seen
  group by seen.id
  having max(seen.observed_version) > max(seen.held_version)
)
update resources resource
set observed_version = lost.version,
  sent_version = 0,
  sent_at = clock_timestamp(),
  next_send_at = now() + interval '20 s' * (0.75 + random() * 0.5)
from lost
where resource.id = lost.id
  and resource.observed_version > lost.version
returning resource.id,
  coalesce(resource.status_version = resource.version, false)
    and resource.updated_at > now() - interval '1 min' as is_just_reported;

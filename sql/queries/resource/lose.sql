-- Marks what an agent says that it lacks, so that it is pending again whatever becomes of the answer.
--
-- The answer itself is under way: only if it fails the ledger sends, after a while. Ids between two
-- others are looked at, since a long list comes in parts; they are compared by their bytes.
-- `is_just_reported` tells that the version was reported within the last minute: then the list may be
-- older than the report, and nothing is lost.
--
-- $1 consumer_name
-- $2 ids
-- $3 versions
-- $4 after_id
-- $5 through_id null for the end
-- $6 data_type
-- not null: is_just_reported
update resources resource
set observed_version = coalesce(held.version, 0),
  sent_version = 0,
  sent_at = clock_timestamp(),
  next_send_at = now() + interval '20 s' * (0.75 + random() * 0.5)
from resources stored
left join unnest($2::text[], $3::int[]) as held (id, version) on held.id = stored.id
where stored.consumer_name = $1
  and stored.data_type = $6
  and stored.id collate "C" > $4
  and ($5::text is null or stored.id collate "C" <= $5)
  and stored.observed_version > coalesce(held.version, 0)
  and resource.id = stored.id
returning resource.id,
  coalesce(resource.status_version = resource.version, false)
    and resource.updated_at > now() - interval '1 min' as is_just_reported;

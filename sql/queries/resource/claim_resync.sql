-- Marks resources as sent because an agent's resync lacks them, and returns them.
--
-- What the agent says it holds is what is observed: a version that it lost is pending again. What has
-- been sent to its connection meanwhile is left out. `is_just_reported` tells that the version was reported within the
-- last minute: then the question may be older than the report, and nothing is lost.
--
-- $1 ids
-- $2 held_versions what the agent holds of each
-- $3 connected_at
-- not null: is_just_reported
with held as (
  select * from unnest($1::text[], $2::int[]) as held (id, version)
)
update resources resource
set observed_version = least(resource.observed_version, held.version),
  sent_version = resource.version,
  sent_at = now(),
  attempts = resource.attempts + 1,
  next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
    * (0.75 + random() * 0.5)
from held
where resource.id = held.id
  and not (
    resource.sent_version = resource.version
    and coalesce(resource.sent_at >= $3::timestamptz, false)
    and (resource.observed_version <> resource.version or resource.deleted_at is not null)
  )
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
  coalesce(resource.status_version = resource.version, false)
    and resource.updated_at > now() - interval '1 min' as is_just_reported;

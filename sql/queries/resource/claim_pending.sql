-- Marks the next pending resources of these consumers as sent, and returns them, but those that are on their way.
--
-- For agents that hold what they are believed to hold: nothing else is due. On its way is what was sent to this
-- connection and not reported since. In each lane it goes on after an id, so that all calls together look at each
-- pending resource once; so the rows come in the order of their ids. No more than about 8 MB of specs are marked, and
-- one at least: each row tells how many were found. Sizes are those on disk, which are known without reading them.
--
-- $1 consumer_names
-- $2 connected_ats
-- $3 data_types
-- $4 after_ids of creates and updates
-- $5 after_deletion_ids
-- $6 turn_count rows for each consumer and lane
-- not null: sent_at, found_count
with due as materialized (
  select pending.id,
    sum(pending.spec_bytes) over (rows between unbounded preceding and 1 preceding) as bytes_before
  from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
    as agent (consumer_name, connected_at, data_type, after_id, after_deletion_id)
  cross join lateral (values (false, agent.after_id), (true, agent.after_deletion_id))
    as lane (is_deletion, after_id)
  cross join lateral (
    select pending.id, pg_column_size(pending.spec) as spec_bytes
    from resources pending
    where pending.consumer_name = agent.consumer_name
      and (pending.version <> pending.observed_version or pending.deleted_at is not null)
      and (pending.deleted_at is not null) = lane.is_deletion
      and pending.id > lane.after_id
      and pending.data_type = agent.data_type
      and not (
        pending.sent_version = pending.version
        and coalesce(pending.sent_at between agent.connected_at and clock_timestamp(), false)
      )
    order by pending.id
    limit $6::int
  ) pending
), claimed as (
  update resources resource
  set sent_version = resource.version,
    -- Not now(), the time at which the statement was prepared: a send after a connection must not
    -- look older.
    sent_at = clock_timestamp(),
    attempts = resource.attempts + 1,
    next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
      * (0.75 + random() * 0.5)
  where resource.id = any (array(
      select due.id from due where coalesce(due.bytes_before, 0) < 8000000
    ))
    and (resource.version <> resource.observed_version or resource.deleted_at is not null)
  returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
    resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
    resource.sent_at
)
select claimed.*, (select count(*)::int from due) as found_count
from claimed
order by claimed.id;

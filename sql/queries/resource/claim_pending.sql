-- Marks the next pending resources of a consumer as sent, and returns them, but those that are on their way.
--
-- For an agent that holds what it is believed to hold: nothing else is due. On its way is what was sent to this
-- connection and not reported since; so the next call goes on with the others.
--
-- $1 consumer_name
-- $2 limit_count
-- $3 connected_at
-- $4 data_type
-- not null: sent_at
update resources resource
set sent_version = resource.version,
  -- Not now(), the time at which the statement was prepared: a send after a connection must not
  -- look older.
  sent_at = clock_timestamp(),
  attempts = resource.attempts + 1,
  next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
    * (0.75 + random() * 0.5)
where resource.id = any (array(
    select due.id
    from resources due
    where due.consumer_name = $1
      and (due.version <> due.observed_version or due.deleted_at is not null)
      and due.data_type = $4
      and not (due.sent_version = due.version and coalesce(due.sent_at >= $3::timestamptz, false))
    order by due.id
    limit $2::int
  ))
  and (resource.version <> resource.observed_version or resource.deleted_at is not null)
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
  resource.sent_at;

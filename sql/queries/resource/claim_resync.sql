-- Marks resources as sent because an agent's resync lacks them, and returns them.
--
-- Those that are still pending, or whose spec the agent lacks though it holds the version: what the agent has
-- reported since is left out, and what has been sent to its connection meanwhile.
--
-- $1 ids
-- $2 connected_at
-- $3 lacking_ids
-- not null: sent_at
update resources resource
set sent_version = resource.version,
  -- Not now(), the time at which the statement was prepared: a send after a connection must not
  -- look older.
  sent_at = clock_timestamp(),
  attempts = resource.attempts + 1,
  next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
    * (0.75 + random() * 0.5)
where resource.id = any ($1::text[])
  and (
    resource.version <> resource.observed_version
    or resource.deleted_at is not null
    or resource.id = any ($3::text[])
  ) is true
  and not (
    resource.sent_version = resource.version
    and coalesce(resource.sent_at between $2::timestamptz and clock_timestamp(), false)
  )
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
  resource.sent_at;

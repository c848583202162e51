-- Takes pending resources whose time to be sent again has come, in fair turns, and marks the sends.
--
-- Due is what the backoff says, and what was last sent before its consumer connected: that
-- message went to a connection that is gone.
--
-- $1 consumer_names
-- $2 connected_ats
-- $3 turn_count rows for each consumer
-- $4 limit_count
-- not null: sent_at
with due as materialized (
  select pending.id
  from unnest($1::text[], $2::timestamptz[]) as consumer (name, connected_at)
  cross join lateral (
    select resource.id
    from resources resource
    where resource.consumer_name = consumer.name
      and (resource.version <> resource.observed_version or resource.deleted_at is not null)
      and (
        resource.next_send_at <= now()
        or resource.sent_at is null
        or resource.sent_at < consumer.connected_at
      )
    order by resource.id
    limit $3::int
    for update skip locked
  ) pending
  limit $4::int
)
update resources resource
set sent_version = resource.version,
  -- Not now(), the time at which the statement was prepared: a send after a connection must not look older.
  sent_at = clock_timestamp(),
  attempts = resource.attempts + 1,
  next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
    * (0.75 + random() * 0.5)
where resource.id = any (array(select due.id from due))
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
  resource.sent_at;

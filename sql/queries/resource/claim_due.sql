-- Takes pending resources that were found due, if they still are, and marks the sends.
--
-- What another server takes at the same time is passed over. What is sent since its consumer has connected
-- anew starts with a short pause again: how long an earlier connection was silent says nothing of this one.
-- Nobody waits for the marks to reach the disk: what loses its mark is sent once more.
--
-- $1 ids
-- $2 connected_ats of the consumer of each
-- not null: sent_at
with due as materialized (
  select pending.id, pending.tries
  from unnest($1::text[], $2::timestamptz[]) as input (id, connected_at)
  cross join lateral (
    select resource.id,
      case when resource.sent_at < input.connected_at then 0 else resource.attempts end as tries
    from resources resource
    where resource.id = input.id
      and (resource.version <> resource.observed_version or resource.deleted_at is not null) is true
      and (
        resource.next_send_at <= now()
        or resource.sent_at is null
        or resource.sent_at < input.connected_at
        or resource.sent_at > clock_timestamp()
      )
    for update skip locked
  ) pending
), fresh as (
  select array_agg(due.id) filter (where due.tries = 0) as ids from due
)
update resources resource
set sent_version = resource.version,
  -- Not now(), the time at which the statement was prepared: a send after a connection must not look older.
  sent_at = clock_timestamp(),
  attempts = case when resource.id = any (fresh.ids) then 1 else resource.attempts + 1 end,
  next_send_at = now() + (0.75 + random() * 0.5) * case
    when resource.id = any (fresh.ids) then interval '20 s'
    else least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
  end
from fresh
cross join set_config('synchronous_commit', 'off', true)
where resource.id = any (array(select due.id from due))
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
  resource.sent_at;

-- Takes the oldest events of each consumer, in fair turns, and marks their resources as sent.
--
-- One statement: the event is gone exactly when the ledger says that the resource was sent, so a
-- crash after it leaves a pending row that redelivery finds. Events that another server holds are
-- skipped, not waited for. A resource that was sent at this version already is not sent again.
--
-- $1 consumer_names
-- $2 turn_count rows for each consumer and lane
-- $3 limit_count
with turn as materialized (
  select event.consumer_name, event.is_deletion, event.id
  from unnest($1::text[]) as consumer (name)
  cross join (values (false), (true)) as lane (is_deletion)
  cross join lateral (
    select waiting.consumer_name, waiting.is_deletion, waiting.id
    from events waiting
    where waiting.consumer_name = consumer.name and waiting.is_deletion = lane.is_deletion
    order by waiting.id
    limit $2::int
    for update skip locked
  ) event
  limit $3::int
), taken as (
  delete from events event
  using turn
  where event.consumer_name = turn.consumer_name
    and event.is_deletion = turn.is_deletion
    and event.id = turn.id
  returning event.resource_id
)
update resources resource
set sent_version = resource.version,
  sent_at = now(),
  attempts = resource.attempts + 1,
  next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
    * (0.75 + random() * 0.5)
from (select distinct resource_id from taken) taken
where resource.id = taken.resource_id
  and (resource.version <> resource.observed_version or resource.deleted_at is not null)
  and (resource.sent_version <> resource.version or resource.next_send_at <= now())
returning resource.id, resource.consumer_name, resource.data_type, resource.version, resource.spec,
  resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at;

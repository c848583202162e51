-- Takes the oldest events of each lane, in fair turns, and marks their resources as sent.
--
-- One statement: the event is gone exactly when the ledger says that the resource was sent, so a
-- crash after it leaves a pending row that redelivery finds. Events that another server holds are
-- skipped, not waited for. A resource that was sent at this version already is not sent again, but its
-- event counts: the first row tells how many were found, even if there is nothing to send.
--
-- Of what was found no more is taken than about 8 MB of specs, and one event at least; the first lanes come first.
-- How large specs are is guessed from some of them: to look at the size of each would take a sixth more time, and mostly
-- they are small. Size is that on disk, which is known without reading the documents.
--
-- Nobody waits for its commit to reach the disk. If a crash of the database takes it, it takes all of it, and
-- nothing that was committed before: the event is there again and is sent once more.
--
-- A plan may have been made while the outbox and the pending resources were few, as they mostly are,
-- and must still do when there are many. So rows are found by their place and by a list of ids, and
-- the condition is written in a way that the index of pending resources does not fit.
--
-- $1 consumer_names one for each lane
-- $2 are_deletions which lane that is
-- $3 turn_count rows for each lane
-- $4 limit_count
-- not null: found_count
-- null: id, consumer_name, data_type, version, spec, spec_event, created_at, sent_at
with turn as materialized (
  select event.place, event.resource_id
  from unnest($1::text[], $2::boolean[]) as lane (consumer_name, is_deletion)
  cross join lateral (
    select waiting.ctid as place, waiting.resource_id
    from events waiting
    where waiting.consumer_name = lane.consumer_name and waiting.is_deletion = lane.is_deletion
    order by waiting.id
    limit $3::int
    for update skip locked
  ) event
  limit $4::int
), taken as (
  delete from events event
  where event.ctid = any (array(
    select turn.place
    from turn
    limit (
      select ceil(8000000 / avg(pg_column_size(resource.spec)))
      from resources resource
      where resource.id = any (array(
        select turn.resource_id from turn
        where random() * $3::int * cardinality($1::text[]) < 32
      ))
    )
  ))
  returning event.resource_id
), sent as (
  update resources resource
  set sent_version = resource.version,
    -- Not now(), the time at which the statement was prepared: a send after a connection must not
    -- look older.
    sent_at = clock_timestamp(),
    attempts = resource.attempts + 1,
    next_send_at = now() + least(interval '20 s' * 2 ^ least(resource.attempts, 10), interval '1 h')
      * (0.75 + random() * 0.5)
  where resource.id = any (array(select taken.resource_id from taken))
    and (resource.version <> resource.observed_version or resource.deleted_at is not null) is true
    and (resource.sent_version <> resource.version or resource.next_send_at <= now())
  returning resource.id, resource.consumer_name, resource.data_type, resource.version,
    resource.spec, resource.spec_event, resource.metadata, resource.created_at, resource.deleted_at,
    resource.sent_at
)
select total.found_count, sent.id, sent.consumer_name, sent.data_type, sent.version, sent.spec,
  sent.spec_event, sent.metadata, sent.created_at, sent.deleted_at, sent.sent_at
from (
  select count(*)::int as found_count, set_config('synchronous_commit', 'off', true) from turn
) as total
left join sent on true;

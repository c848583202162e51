-- Looks through pending resources, a part of each lane, for those whose time to be sent again has come.
--
-- Due is what the backoff says, and what was last sent before its consumer connected: that message went to a
-- connection that is gone. And what was sent at a time that is yet to come: the clock was ahead, and by hours perhaps,
-- so no other time of it says anything. A walk looks at each pending resource once, however many wait: each step
-- begins where the last one ended, and looks at no more than a number of rows. Nothing is locked. Sizes are those of the
-- specs on disk, which are known without reading them.
--
-- $1 consumer_names one for each lane to look at
-- $2 are_deletions which lane that is
-- $3 after_ids where it begins
-- $4 connected_ats
-- $5 look_count rows to look at in each lane
-- not null: place, seen_count, due_ids, due_bytes, rest_ms
-- null: last_id
select turn.place::int as place, looked.seen_count, looked.last_id, looked.due_ids, looked.due_bytes,
  looked.rest_ms
from unnest($1::text[], $2::boolean[], $3::text[], $4::timestamptz[]) with ordinality
  as turn (consumer_name, is_deletion, after_id, connected_at, place)
cross join lateral (
  select count(*)::int as seen_count,
    max(seen.id) as last_id,
    coalesce(array_agg(seen.id order by seen.id) filter (where seen.is_due), '{}') as due_ids,
    coalesce(array_agg(seen.spec_bytes order by seen.id) filter (where seen.is_due), '{}') as due_bytes,
    coalesce(extract(epoch from min(seen.next_send_at) filter (where not seen.is_due) - now()), 3600)
      ::float8 * 1000 as rest_ms
  from (
    select resource.id,
      resource.next_send_at,
      pg_column_size(resource.spec) as spec_bytes,
      resource.next_send_at <= now()
        or resource.sent_at is null
        or resource.sent_at < turn.connected_at
        or resource.sent_at > clock_timestamp() as is_due
    from resources resource
    where resource.consumer_name = turn.consumer_name
      and (resource.version <> resource.observed_version or resource.deleted_at is not null)
      and (resource.deleted_at is not null) = turn.is_deletion
      and resource.id > turn.after_id
    order by resource.id
    limit $5::int
  ) seen
) looked;

-- Pages through what a consumer should hold, without the documents, for a spec resync.
--
-- $1 consumer_name
-- $2 after_id
-- $3 limit_count
-- $4 connected_at
-- not null: is_deleting, is_sent, is_observed
select id, version, deleted_at is not null as is_deleting, observed_version = version as is_observed,
  sent_version = version and coalesce(sent_at >= $4::timestamptz, false) as is_sent
from resources
where consumer_name = $1 and id > $2
order by id
limit $3::int;

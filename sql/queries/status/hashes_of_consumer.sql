-- Pages through what is known of a consumer's statuses, for the question whether they still hold.
--
-- $1 consumer_name
-- $2 after_id
-- $3 limit_count
select id, data_type, status_hash
from resources
where consumer_name = $1 and id > $2
order by id
limit $3::int;

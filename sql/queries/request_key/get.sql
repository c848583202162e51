-- Reads what is known of a request.
--
-- $1 caller
-- $2 key
-- $3 age_seconds
select fingerprint, status, headers, body
from request_keys
where caller = $1 and key = $2 and created_at >= now() - make_interval(secs => $3::int);

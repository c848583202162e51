-- Lets a request be tried again at once.
--
-- $1 caller
-- $2 key
-- $3 request_id
update request_keys
set claimed_at = null
where caller = $1 and key = $2 and request_id = $3 and status is null;

-- Keeps the answer of a request, unless there is one.
--
-- $1 caller
-- $2 key
-- $3 request_id
-- $4 status
-- $5 headers
-- $6 body
update request_keys
set status = $4, headers = $5::text::json, body = $6, body_bytes = octet_length($6), claimed_at = null
where caller = $1 and key = $2 and request_id = $3 and status is null;
